// Types of incoming-upload.js: <incoming-upload> for pages with scripts. docs/reference/element.md has the meaning.

interface HTMLElementTagNameMap {
  "incoming-upload": import("./element.mjs").IncomingUpload;
}
