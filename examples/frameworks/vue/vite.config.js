import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

// `make run` starts an app that issues tickets: example 3. Yours would serve this page, too.
export default defineConfig({
  plugins: [vue()],
  server: { proxy: { "/api": "http://localhost:4003" } },
});
