<?php
// An app in plain PHP whose uploads go through Incoming!!. README.md says how to run it, and what to copy.
chdir(dirname(__DIR__));  // uploads and the secret are outside of the document root
require "incoming.php";

$server = getenv("UPLOAD_SERVER") ?: "http://localhost:4000";  // Incoming!!, for this app and for browsers
$app = getenv("APP_URL") ?: "http://localhost:8080";  // this app, for Incoming!!
$secret = secret_in_file("upload-secret");

switch ($_SERVER["REQUEST_METHOD"] . " " . parse_url($_SERVER["REQUEST_URI"], PHP_URL_PATH)) {
    case "GET /":
        $files = glob("uploads/*/*") ?: [];  // without hidden ones, which are not complete
        usort($files, fn ($a, $b) => filemtime($b) <=> filemtime($a));
        require "page.php";
        break;

    case "POST /ticket":  // check here who the user is, and whether they may upload
        header("Content-Type: text/plain");
        echo new_upload($server, $secret, "$app/arrived");
        break;

    case "POST /arrived":  // Incoming!! calls this, maybe twice; the secret protects it
        header("Content-Type: text/plain");
        if (!hash_equals($secret, $_POST["backendSecret"] ?? "")) {
            http_response_code(403);
            exit("The call does not have the app's secret.");
        }
        if ($_POST["cancelled"] === "no") {
            $name = ltrim(basename($_POST["filenameFromBrowser"]), ". ") ?: "upload";
            if (str_ends_with(strtolower($name), ".exe")) {
                http_response_code(422);
                exit("This app takes no programs.");
            }
            move_into_place($_POST["filename"], "uploads/" . basename($_POST["id"]) . "/$name");
        }
        echo "done";
        break;

    default:
        http_response_code(404);
}
