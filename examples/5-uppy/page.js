// What both pages of this example have: Uppy with its Dashboard, and the list of what is stored.
import { Dashboard, Uppy } from "@uppy/core"; // all of Uppy is in one file here, see build-uppy.mjs

export const server = new URL(document.getElementById("uploads").dataset.server, location).href;

export const uppy = new Uppy()
  .use(Dashboard, { target: "#uploads", inline: true, width: "100%", height: 400, theme: "auto", proudlyDisplayPoweredByUppy: false });

export async function ask(url, options) {
  try {
    const answer = await fetch(url, options);
    return { ok: answer.ok, status: answer.status, text: await answer.text() };
  } catch (error) {
    return { ok: false, status: 599, text: "" }; // it can't be reached
  }
}

uppy.on("upload-success", async () => {
  const { ok, text } = await ask("/");
  const page = new DOMParser().parseFromString(text, "text/html");
  if (ok) document.getElementById("stored").replaceWith(page.getElementById("stored"));
});

window.onbeforeunload = (event) => { // "Leave the page?"
  if (Object.keys(uppy.getState().currentUploads).length) event.preventDefault();
};
