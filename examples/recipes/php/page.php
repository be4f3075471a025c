<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>Uploads</title>
  <link rel="icon" href="data:,">
  <script src="<?= $server ?>/incoming/frontend/incoming.js"></script>
  <script src="<?= $server ?>/incoming/frontend/incoming-upload.js"></script>
  <style>body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; font-family: system-ui, sans-serif; }</style>
</head>
<body>
  <h1>Uploads</h1>
  <incoming-upload tickets="/ticket" name="files" multiple>The upload server does not answer.</incoming-upload>
  <h2>Files</h2>
  <ul>
    <?php foreach ($files as $file): ?>
    <li><?= htmlspecialchars(basename($file)) ?>, <?= filesize($file) ?> bytes</li>
    <?php endforeach ?>
    <?php if (!$files): ?><li>There are none yet.</li><?php endif ?>
  </ul>
  <script>addEventListener("all-finished", () => location.reload());</script>
</body>
</html>
