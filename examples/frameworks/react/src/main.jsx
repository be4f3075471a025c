import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { set_server_hostname } from "incoming-uploads";
import App from "./App.jsx";
import "./style.css";

set_server_hostname("localhost:4000"); // the Incoming!! server
createRoot(document.getElementById("app")).render(<StrictMode><App /></StrictMode>);
