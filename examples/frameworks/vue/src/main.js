import { createApp } from "vue";
import { set_server_hostname } from "incoming-uploads";
import App from "./App.vue";
import "./style.css";

set_server_hostname("localhost:4000"); // the Incoming!! server
createApp(App).mount("#app");
