// For `require`. The script defines the global of the page, and this is the same object. Where there is no page, it is empty.
require('./incoming.js');
module.exports = typeof window === 'undefined' ? {} : window.incoming;
