/** The list of all files of a folder. It may have a hundred thousand: only those that are in sight are elements of the page. */
const LINE_PX = 28; // as the style sheet has it: 1.75rem
const BEYOND = 8; // lines above and below what is in sight

export class Files {
  constructor(details, item) {
    this.item = item;
    this.entries = item.file.entries; // sorted by path, as they are sent
    this.details = details;
    this.view = details.querySelector(".files");
    this.space = this.view.appendChild(document.createElement("div")); // as high as all lines
    this.space.style.height = `${this.entries.length * LINE_PX}px`;
    this.space.role = "presentation";
    this.view.ariaLabel = `Files of ${item.path}`;
    this.lines = new Map(); // index -> element
    details.hidden = false;
    details.ontoggle = () => this.draw();
    this.view.onscroll = () => this.draw();
  }

  draw() {
    if (!this.details.open) return;
    const { view, entries, lines } = this;
    const first = Math.max(0, Math.floor(view.scrollTop / LINE_PX) - BEYOND);
    const last = Math.min(entries.length, Math.ceil((view.scrollTop + view.clientHeight) / LINE_PX) + BEYOND);
    for (const [index, line] of lines) {
      if (index >= first && index < last) continue;
      line.remove();
      lines.delete(index);
    }
    const state_of = this.look();
    for (let index = first; index < last; index += 1) {
      if (!lines.has(index)) lines.set(index, this.new_line(index));
      const [kind, text] = state_of(index);
      const line = lines.get(index);
      line.className = `line ${kind}`;
      if (line.lastChild.textContent !== text) line.lastChild.textContent = text;
    }
  }

  new_line(index) {
    const line = document.createElement("div");
    const path = document.createElement("bdi");
    path.textContent = path.title = this.entries[index].path;
    line.append(path, document.createElement("span"));
    line.style.top = `${index * LINE_PX}px`;
    line.role = "listitem";
    line.ariaPosInSet = index + 1;
    line.ariaSetSize = this.entries.length;
    this.view.append(line);
    return line;
  }

  /** Returns a function that tells what a file is doing, by its index. */
  look() {
    const { state, uploader } = this.item;
    const left_out = new Set(uploader ? uploader.left_out : []);
    const at = state === "finished" ? this.entries.length : uploader && uploader.bytes_acked ? this.index_of(uploader.current_file) : 0;
    return (index) => {
      if (left_out.has(this.entries[index].path)) return ["missing", "Left out"];
      if (index < at) return ["stored", "Stored"];
      return index === at && state === "running" ? ["sending", "Sending"] : ["waiting", ""];
    };
  }

  index_of(path) { // "": all are stored, or none
    let low = 0;
    let high = path ? this.entries.length : 0;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.entries[middle].path < path) low = middle + 1;
      else high = middle;
    }
    return path || this.item.bytes_acked < this.item.file.size ? low : this.entries.length;
  }
}
