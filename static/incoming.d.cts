/// <reference path="./incoming.d.ts" />
// Types of incoming.cjs: what incoming.d.ts says, for those who require.

export = incoming;
