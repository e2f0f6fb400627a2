/* A server that costs almost nothing, so that the benchmarks measure only the clients.
 *
 *     cc -O2 -o sink sink.c -lssl -lcrypto
 *     ./sink [CERTIFICATE.pem]
 *
 * Prints its origin, and ends when its stdin is closed. It answers as benchmarks/server.py does, but
 * only counts the bytes of bodies; server.py checks them.
 *
 *   POST /v2/library/files        202 with Location and Id
 *   GET  /__bench__/file/SIZE     SIZE bytes: 0 to 255, repeated
 *   GET  /__bench__/received      {"uploads": N, "bytes": N, "faults": N} since the last request
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { HEAD = 16 * 1024, BLOCK = 256 * 1024 };

struct connection {
    int fd;
    SSL *tls;
    char head[HEAD];
    int head_length;
    int in_body;
    long long body_left;
    long long sent, unsent;
};

static char block[BLOCK], pattern[BLOCK + 256];
static char origin[64];
static long long uploads, bytes, faults, next_id = 1000;
static int poller;

static void watch(struct connection *c, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (c->unsent ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
}

static void hang_up(struct connection *c) {
    if (c->in_body)
        faults++;
    if (c->tls)
        SSL_free(c->tls);
    close(c->fd);
    free(c);
}

/* Return the bytes read or written; 0 if the other side closed or failed; -1 if it is too soon. */
static int settle(struct connection *c, int result) {
    if (result > 0)
        return result;
    if (c->tls) {
        int reason = SSL_get_error(c->tls, result);
        return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? -1 : 0;
    }
    return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? -1 : 0;
}

/* Clear the queue, so that errors of one connection do not count against the next. */
static int take(struct connection *c, char *into, int size) {
    ERR_clear_error();
    return settle(c, c->tls ? SSL_read(c->tls, into, size) : (int)read(c->fd, into, size));
}

static int give(struct connection *c, const char *from, int size) {
    ERR_clear_error();
    return settle(c, c->tls ? SSL_write(c->tls, from, size) : (int)write(c->fd, from, size));
}

/* Write as much of the rest of a file as the client accepts; 0 if the connection is gone. */
static int send_file(struct connection *c) {
    while (c->unsent) {
        int size = c->unsent < BLOCK ? (int)c->unsent : BLOCK;
        int gone = give(c, pattern + (c->sent & 255), size);
        if (gone == 0)
            return 0;
        if (gone < 0)
            break;
        c->sent += gone;
        c->unsent -= gone;
    }
    watch(c, EPOLL_CTL_MOD);
    return 1;
}

static const char *header(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':') {
            const char *value = line + 3 + length;
            return value + strspn(value, " ");
        }
    return NULL;
}

static int finish_upload(struct connection *c) {
    char answer[256];
    c->in_body = 0;
    uploads++;
    next_id++;
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n"
                        "Location: %s/v2/library/files/%lld\r\nId: %lld\r\n\r\n",
                        origin, next_id, next_id);
    return give(c, answer, size) > 0;
}

/* Answer a request whose head is complete; 0 if the connection has to be closed. */
static int route(struct connection *c) {
    char answer[512], body[128];
    int size;
    if (!strncmp(c->head, "POST /v2/library/files", 22)) {
        const char *length = header(c->head, "content-length");
        const char *expect = header(c->head, "expect");
        if (!length)
            return faults++, 0;
        c->body_left = atoll(length);
        c->in_body = 1;
        if (expect && !strncasecmp(expect, "100-continue", 12))
            give(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        return c->body_left ? 1 : finish_upload(c);
    }
    if (!strncmp(c->head, "GET /__bench__/file/", 20)) {
        c->unsent = atoll(c->head + 20);
        c->sent = 0;
        size = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n\r\n",
                        c->unsent);
        return give(c, answer, size) > 0 && send_file(c);
    }
    if (!strncmp(c->head, "GET /__bench__/received", 23)) {
        int length = snprintf(body, sizeof body,
                              "{\"uploads\": %lld, \"bytes\": %lld, \"faults\": %lld}", uploads,
                              bytes, faults);
        uploads = bytes = faults = 0;
        size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n%s",
                        length, body);
        return give(c, answer, size) > 0;
    }
    faults++;
    return 0;
}

static int feed(struct connection *c, char *data, int size) {
    while (size > 0) {
        if (c->in_body) {
            int part = c->body_left < size ? (int)c->body_left : size;
            c->body_left -= part;
            bytes += part;
            data += part;
            size -= part;
            if (!c->body_left && !finish_upload(c))
                return 0;
            continue;
        }
        int room = HEAD - 1 - c->head_length, before = c->head_length;
        int part = size < room ? size : room;
        memcpy(c->head + before, data, part);
        c->head_length += part;
        c->head[c->head_length] = 0;
        char *end = memmem(c->head, c->head_length, "\r\n\r\n", 4);
        if (!end) {
            if (c->head_length == HEAD - 1)
                return faults++, 0;
            return 1;
        }
        int used = (int)(end + 4 - c->head) - before;
        end[2] = 0;
        data += used;
        size -= used;
        c->head_length = 0;
        if (!route(c))
            return 0;
    }
    return 1;
}

static void ready(struct connection *c) {
    for (;;) {
        int size = take(c, block, BLOCK);
        if (size < 0)
            break;
        if (size == 0 || !feed(c, block, size)) {
            hang_up(c);
            return;
        }
        if (!c->tls && size < BLOCK)
            break; /* the socket is empty: save a call */
    }
    if (c->unsent && !send_file(c))
        hang_up(c);
}

int main(int count, char **arguments) {
    SSL_CTX *context = NULL;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    struct epoll_event events[256];
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < BLOCK + 256; i++)
        pattern[i] = (char)i;
    if (count > 1) {
        context = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_mode(context,
                         SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        if (SSL_CTX_use_certificate_chain_file(context, arguments[1]) != 1 ||
            SSL_CTX_use_PrivateKey_file(context, arguments[1], SSL_FILETYPE_PEM) != 1) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 512)) {
        perror("listen");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&address, &length);
    snprintf(origin, sizeof origin, "%s://127.0.0.1:%d", context ? "https" : "http",
             ntohs(address.sin_port));
    printf("%s\n", origin);
    fflush(stdout);
    poller = epoll_create1(0);
    struct epoll_event accepting = {.events = EPOLLIN, .data.ptr = &listener};
    struct epoll_event parent = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &accepting);
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &parent);
    for (;;) {
        int found = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < found; i++) {
            if (!events[i].data.ptr)
                return 0; /* the parent has ended */
            if (events[i].data.ptr != &listener) {
                ready(events[i].data.ptr);
                continue;
            }
            int fd, on = 1;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                struct connection *c = calloc(1, sizeof *c);
                c->fd = fd;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                if (context) {
                    c->tls = SSL_new(context);
                    SSL_set_fd(c->tls, fd);
                    SSL_set_accept_state(c->tls);
                }
                watch(c, EPOLL_CTL_ADD);
            }
        }
    }
}
