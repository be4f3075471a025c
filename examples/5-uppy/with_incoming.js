import { IncomingUploader } from "incoming-uploads/uppy"; // from the upload server
import { server, uppy } from "/page.js";

uppy.use(IncomingUploader, { tickets: "/api/frontend/request_upload", server });
