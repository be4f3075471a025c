"""What the tests share: the real server as a process, an app, an old client, files of known content."""
