/*
 * target_sftp.c - what an SFTP server sends: whatever comes, bytes go where they were asked for and
 * nowhere else, a reply goes to its request and to no other, and what is taken from a reply lies in
 * it. Each line is a message, whose length is put before it unless it begins with '!'; '.' is the
 * byte 0.
 */
#include "backends/sftp/sftp.h"
#include "tests/fuzz/fuzz.h"

#define REQUESTS 8u
#define ROOM 16u
#define GUARD 0x5a

/* e STATUS, f HANDLE, g DATA, h NAME, i ATTRS; then the request's number, of four bytes. */
const char *const fuzz_seeds[] = {"e...\x01....",
                                  "f...\x02...\x04habc\ng...\x03...\x05hello",
                                  "h...\x04...\x02...\x01x...\x01x.......\x02yy...\x02yy....",
                                  "i...\x05...\x05........\x81\xa4..",
                                  "\xc9...\x06........\x10.",
                                  "i...\x05\x80......\x02...\x01x...\x01y",
                                  "!...\x09g...\x03...\xff",
                                  NULL};
const char *const fuzz_pieces[] = {"\n",
                                   "\ne...\x01...\x04",
                                   "\nf...\x02...\x03",
                                   "\ng...\x03...\x10",
                                   "\nh...\x04...\x7f",
                                   "....",
                                   "\xff\xff\xff\xff",
                                   "\x80...",
                                   "!....",
                                   "\xc9...\x07",
                                   NULL};

/* What was asked by number: 0 and 3 for bytes, 7 by a call that has gone. */
static const uint8_t asked[REQUESTS] = {FXP_READ,    FXP_MKDIR, FXP_OPEN,     FXP_READ,
                                        FXP_READDIR, FXP_FSTAT, FXP_EXTENDED, FXP_OPEN};

static void put_input(sftp_buf_t *in, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t len = end != NULL ? (size_t)(end - data) - at : size - at;
        int raw = len > 0 && data[at] == '!';
        if (!raw) sftp__buf_put32(in, (uint32_t)len);
        for (size_t i = raw ? 1 : 0; i < len; i++)
            sftp__buf_put8(in, data[at + i] == '.' ? 0 : data[at + i]);
        at += len + 1;
    }
}

/* All that any call takes from a reply. */
static void take_reply(sftp_call_t *c, size_t n)
{
    const sftp_req_t *req = c->reqs[n];
    uint8_t handle[SFTP_HANDLE_MAX + 1];
    const uint8_t *name = NULL;
    size_t len = 0;
    vfs_attr_t attr;
    sftp_attrs_t attrs;
    sftp_in_t in;
    if (req->type == 0) return;
    handle[SFTP_HANDLE_MAX] = GUARD;
    FUZZ_CHECK(req->got <= req->into_len);
    if (sftp__reply_handle(c, n, handle, &len) == APR_SUCCESS)
        FUZZ_CHECK(len > 0 && len <= SFTP_HANDLE_MAX);
    else
        FUZZ_CHECK(len == 0);
    FUZZ_CHECK(handle[SFTP_HANDLE_MAX] == GUARD);
    if (sftp__reply_name(c, n, &name, &len) == APR_SUCCESS)
        FUZZ_CHECK(name >= req->body && name + len <= req->body + req->len &&
                   memchr(name, '\0', len) == NULL);
    if (sftp__reply_attr(c, n, &attr) == APR_SUCCESS)
        FUZZ_CHECK(attr.size <= INT64_MAX && attr.mode <= 07777);
    if (sftp__reply(c, n, FXP_NAME, &in) != APR_SUCCESS) return;
    for (uint32_t count = sftp__in_32(&in); count > 0 && !in.bad; count--) {
        name = sftp__in_text(&in, &len);
        (void)sftp__in_text(&in, &len);
        sftp__in_attrs(&in, &attrs);
        FUZZ_CHECK(in.bad || (in.at >= name && in.at + in.left == req->body + req->len));
    }
}

static void add(sftp_session_t *s, sftp_call_t *c, uint32_t id, sftp_req_t *req, void *into)
{
    *req = (sftp_req_t){.call = id != 7 ? c : NULL, .id = id, .asked = asked[id]};
    if (asked[id] == FXP_READ) {
        req->into = into;
        req->into_len = ROOM;
    }
    req->next = s->table[id % SFTP_TABLE];
    s->table[id % SFTP_TABLE] = req;
    s->in_flight++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sftp_t f;
    uint8_t room[2][ROOM + 1];
    sftp_req_t *reqs[REQUESTS];
    sftp_session_t *s = calloc(1, sizeof(*s));
    sftp_call_t c = {.f = &f, .session = s, .reqs = reqs, .missing = REQUESTS - 1};
    FUZZ_CHECK(s != NULL);
    s->f = &f;
    s->next_id = REQUESTS;
    pthread_cond_init(&c.cond, NULL);
    memset(room, GUARD, sizeof(room));
    for (uint32_t id = 0; id < REQUESTS; id++) {
        reqs[id] = malloc(sizeof(sftp_req_t));
        FUZZ_CHECK(reqs[id] != NULL);
        add(s, &c, id, reqs[id], room[id == 3]);
    }
    put_input(&s->in, data, size);
    apr_status_t status = sftp__take_messages(s);
    FUZZ_CHECK(status == APR_SUCCESS || status == VFS_EFORMAT);
    FUZZ_CHECK(room[0][ROOM] == GUARD && room[1][ROOM] == GUARD);
    size_t there = 0;
    for (size_t i = 0; i < REQUESTS - 1; i++) {
        there += reqs[i]->type != 0;
        take_reply(&c, i);
        if (reqs[i]->type == 0) continue; /* still in the table, which is freed below */
        free(reqs[i]->body);
        free(reqs[i]);
    }
    FUZZ_CHECK(there + c.missing == REQUESTS - 1);
    for (size_t i = 0; i < SFTP_TABLE; i++) {
        while (s->table[i] != NULL) {
            sftp_req_t *req = s->table[i];
            s->table[i] = req->next;
            free(req);
        }
    }
    pthread_cond_destroy(&c.cond);
    sftp__buf_free(&s->in);
    sftp__buf_free(&s->out);
    free(s);
    return 0;
}
