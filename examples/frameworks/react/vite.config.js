import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `make run` starts an app that issues tickets: example 3. Yours would serve this page, too.
export default defineConfig({
  plugins: [react()],
  resolve: { dedupe: ["react"] }, // npm links the library here, and from there it would find another React
  server: { proxy: { "/api": "http://localhost:4003" } },
});
