/* The floor of this machine: what takes bytes off a socket and puts them into a file, and does nothing else.
 *
 * One connection is one file: a line "FILE SIZE", answered with "+", then the bytes, answered with ".".
 * One reused, page-aligned buffer of 1 MiB; recv(2) and pwrite(2). `floor PORT`.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (1 << 20)

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void receive_file(int peer, char *buffer)
{
    char line[4096], path[4096];
    size_t length = 0;
    long long size, offset = 0;

    while (length < sizeof line - 1 && recv(peer, line + length, 1, 0) == 1 && line[length] != '\n')
        length++;
    line[length] = 0;
    if (sscanf(line, "%4095s %lld", path, &size) != 2 || send(peer, "+", 1, 0) != 1)
        return;
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0660);
    if (file < 0)
        die(path);
    while (offset < size) {
        ssize_t got = recv(peer, buffer, BUFFER_BYTES, 0);
        if (got <= 0)
            break;
        for (ssize_t done = 0; done < got;) {
            ssize_t wrote = pwrite(file, buffer + done, got - done, offset + done);
            if (wrote < 0)
                die("pwrite");
            done += wrote;
        }
        offset += got;
    }
    close(file);
    send(peer, ".", 1, 0);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    char *buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    address.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8))
        die("listen");
    for (;;) {
        int peer = accept(listener, NULL, NULL);
        if (peer < 0)
            die("accept");
        receive_file(peer, buffer);
        close(peer);
    }
}
