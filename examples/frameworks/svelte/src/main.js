import { mount } from "svelte";
import { set_server_hostname } from "incoming-uploads";
import App from "./App.svelte";
import "./style.css";

set_server_hostname("localhost:4000"); // the Incoming!! server
mount(App, { target: document.getElementById("app") });
