import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// `make run` starts an app that issues tickets: example 3. Yours would serve this page, too.
export default defineConfig({
  plugins: [svelte()],
  server: { proxy: { "/api": "http://localhost:4003" } },
});
