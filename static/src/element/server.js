// Where the upload server is, if it has served the script.

/** @param {string} url of the script @returns {string} "host:port/prefix"; "" if it came from elsewhere */
export function server_of(url) {
  const match = /^https?:\/\/([^?#]+?)\/incoming\/(?:[\d.]+\/)?frontend\/[\w.-]+\.m?js(?:[?#]|$)/.exec(url);
  return match ? match[1] : '';
}
