/*! svelte.mjs 0.3.0: MIT license. */
import{onDestroy as t}from"svelte";import{Queue as e}from"./queue.mjs";var s={per_frame:!0};function i(t){return e=>(e(t.snapshot()),t.subscribe(()=>e(t.snapshot()),s))}function n(t){return{subscribe:i(t)}}function r(s){let n=function(t){return"add_all"in t}(s)?s:new e(s);return n!==s&&t(()=>n.dispose()),{queue:n,subscribe:i(n)}}export{r as queue_store,n as upload_store};
//# sourceMappingURL=svelte.min.mjs.map
