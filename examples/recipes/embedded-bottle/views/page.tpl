<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>Uploads</title>
  <link rel="icon" href="data:,">
  <script src="/incoming/frontend/incoming.js"></script>
  <script src="/incoming/frontend/incoming-upload.js"></script>
  <style>body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; font-family: system-ui, sans-serif; }</style>
</head>
<body>
  <h1>Uploads</h1>
  <incoming-upload tickets="/ticket" name="files" multiple>The upload server does not answer.</incoming-upload>
  <h2>Files</h2>
  <ul>
    % for file in files:
    <li>{{file.name}}, {{file.stat().st_size}} bytes</li>
    % end
    % if not files:
    <li>There are none yet.</li>
    % end
  </ul>
  <script>addEventListener("all-finished", () => location.reload());</script>
</body>
</html>
