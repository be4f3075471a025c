<?php
// What an app in PHP needs for Incoming!!. An error that is not caught is status 500: Incoming!! then calls again.

set_error_handler(fn ($level, $text) => throw new RuntimeException($text));

/** Returns the id of a new ticket. */
function new_upload(string $server, string $secret, string $arrived): string
{
    $wanted = ["signalFinishURL" => $arrived, "backendSecret" => $secret, "removeFileWhenFinished" => "false"];
    return file_get_contents("$server/incoming/backend/new_upload", false, stream_context_create(["http" => [
        "method" => "POST",
        "header" => "Content-Type: application/x-www-form-urlencoded",
        "content" => http_build_query($wanted),
        "timeout" => 10,
    ]]));
}

/** Returns the secret in a file, and creates the file if it does not exist. After a restart, uploads need the same secret. */
function secret_in_file(string $file): string
{
    $opened = fopen($file, "c+");
    flock($opened, LOCK_EX);
    $secret = stream_get_contents($opened);
    if (strlen($secret) < 64) {
        chmod($file, 0600);
        $secret = bin2hex(random_bytes(32));
        rewind($opened);
        fwrite($opened, $secret);
        fsync($opened);
    }
    fclose($opened);
    return $secret;
}

/** Moves a file. It can be called again after a kill at any moment: the target appears whole or not at all. */
function move_into_place(string $source, string $target): void
{
    $folder = dirname($target);
    is_dir($folder) || mkdir($folder, 0777, true);
    if (!is_file($source)) {
        is_file($target) || throw new RuntimeException("$source is missing. Does the app see the server's files?");
        return;  // an earlier call has moved it
    }
    $from = fopen($source, "r");
    flock($from, LOCK_EX);  // a second call waits here while the first one copies
    clearstatcache();
    if (!is_file($source)) {
        return;
    }
    $partial = "$folder/." . basename($source) . ".part";
    if (stat($source)["dev"] !== stat($folder)["dev"]) {  // another file system
        $to = fopen($partial, "w");
        stream_copy_to_stream($from, $to) === filesize($source) || throw new RuntimeException("$partial is not whole");
        fsync($to) || throw new RuntimeException("$partial is not on the disk");
        rename($partial, $target);
        fsync(fopen($folder, "r")) && fsync(fopen(dirname($folder), "r")) || throw new RuntimeException("not on the disk");
        unlink($source);
    } else {
        rename($source, $target);
        fsync(fopen($folder, "r"));
    }
}
