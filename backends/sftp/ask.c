/*
 * ask.c - the requests of a call, put together, and their replies, looked at. Floor 2.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/sftp/sftp.h"

/* ---- requests */

static sftp_req_t *req_new(sftp_call_t *c, uint8_t type)
{
    if (c->count == c->room) {
        size_t room = c->room > 0 ? 2 * c->room : 8;
        sftp_req_t **reqs = realloc(c->reqs, room * sizeof(sftp_req_t *));
        if (reqs == NULL) return NULL;
        c->reqs = reqs;
        c->room = room;
    }
    sftp_req_t *req = calloc(1, sizeof(*req));
    if (req == NULL) return NULL;
    req->id = atomic_fetch_add_explicit(&c->session->next_id, 1, memory_order_relaxed);
    req->asked = type;
    req->call = c;
    c->reqs[c->count++] = req;
    return req;
}

void sftp__begin(sftp_call_t *c, uint8_t type)
{
    if (c->missing == 0 && c->out.len == 0) sftp__clear(c); /* the round before */
    const sftp_req_t *req = req_new(c, type);
    if (req == NULL) c->failed = 1;
    c->message = c->out.len;
    sftp__buf_put32(&c->out, 0); /* the length, by sftp__end */
    sftp__buf_put8(&c->out, type);
    sftp__buf_put32(&c->out, req != NULL ? req->id : 0);
}

void sftp__end(sftp_call_t *c)
{
    if (c->out.failed) {
        c->failed = 1;
        return;
    }
    size_t len = c->out.len - c->message - 4;
    uint8_t *at = c->out.data + c->message;
    at[0] = (uint8_t)(len >> 24);
    at[1] = (uint8_t)(len >> 16);
    at[2] = (uint8_t)(len >> 8);
    at[3] = (uint8_t)len;
}

void sftp__put_path(sftp_call_t *c, const char *path)
{
    const char *base = c->session->base;
    size_t base_len = strlen(base), len = strlen(path);
    if (len == 1 && base_len > 0) len = 0; /* the root itself */
    sftp__buf_put32(&c->out, (uint32_t)(base_len + len));
    sftp__buf_put(&c->out, base, base_len);
    sftp__buf_put(&c->out, path, len);
}

void sftp__ask_path(sftp_call_t *c, uint8_t type, const char *path)
{
    sftp__begin(c, type);
    sftp__put_path(c, path);
    sftp__end(c);
}

void sftp__ask_handle(sftp_call_t *c, uint8_t type, const uint8_t *handle, size_t len)
{
    sftp__begin(c, type);
    sftp__buf_text(&c->out, handle, len);
    sftp__end(c);
}

void sftp__ask_open(sftp_call_t *c, const char *path, uint32_t flags, const uint32_t *mode)
{
    sftp_attrs_t attrs = {.flags = mode != NULL ? FXA_MODE : 0, .mode = mode != NULL ? *mode : 0};
    sftp__begin(c, FXP_OPEN);
    sftp__put_path(c, path);
    sftp__buf_put32(&c->out, flags);
    sftp__buf_attrs(&c->out, &attrs);
    sftp__end(c);
}

void sftp__ask_read(sftp_call_t *c, const uint8_t *handle, size_t handle_len, uint64_t off,
                    void *into, size_t len)
{
    sftp__begin(c, FXP_READ);
    sftp__buf_text(&c->out, handle, handle_len);
    sftp__buf_put64(&c->out, off);
    sftp__buf_put32(&c->out, (uint32_t)len);
    sftp__end(c);
    if (c->failed) return;
    c->reqs[c->count - 1]->into = into;
    c->reqs[c->count - 1]->into_len = len;
}

void sftp__drop_handle(sftp_call_t *c, const uint8_t *handle, size_t len)
{
    if (c->missing == 0 && c->out.len == 0) sftp__clear(c); /* the round before */
    sftp__buf_text(&c->drops, handle, len);
}

/* ---- replies */

uint32_t sftp__reply_code(const sftp_call_t *c, size_t n)
{
    const sftp_req_t *req = c->reqs[n];
    sftp_in_t in = {req->body, req->len, 0};
    return req->type == FXP_STATUS ? sftp__in_32(&in) : FX_OK;
}

apr_status_t sftp__reply(const sftp_call_t *c, size_t n, uint8_t type, sftp_in_t *in)
{
    const sftp_req_t *req = c->reqs[n];
    if (in != NULL) *in = (sftp_in_t){req->body, req->len, 0};
    if (req->type != FXP_STATUS) return req->type == type ? APR_SUCCESS : VFS_EFORMAT;
    if (req->len < 4) return VFS_EFORMAT;
    uint32_t code = sftp__reply_code(c, n);
    if (type == FXP_STATUS || code != FX_OK) return sftp__fx_status(code);
    return VFS_EFORMAT; /* well done, but not what was asked for */
}

apr_status_t sftp__reply_attr(const sftp_call_t *c, size_t n, vfs_attr_t *attr)
{
    sftp_attrs_t attrs;
    sftp_in_t in;
    apr_status_t status = sftp__reply(c, n, FXP_ATTRS, &in);
    if (status != APR_SUCCESS) return status;
    sftp__in_attrs(&in, &attrs);
    return !in.bad && sftp__attr(attr, &attrs) ? APR_SUCCESS : VFS_EFORMAT;
}

apr_status_t sftp__reply_name(const sftp_call_t *c, size_t n, const uint8_t **name, size_t *len)
{
    sftp_in_t in;
    apr_status_t status = sftp__reply(c, n, FXP_NAME, &in);
    if (status != APR_SUCCESS) return status;
    if (sftp__in_32(&in) < 1) return VFS_EFORMAT;
    *name = sftp__in_text(&in, len);
    return in.bad || memchr(*name, '\0', *len) != NULL ? VFS_EFORMAT : APR_SUCCESS;
}

apr_status_t sftp__reply_handle(const sftp_call_t *c, size_t n, uint8_t *handle, size_t *len)
{
    sftp_in_t in;
    apr_status_t status = sftp__reply(c, n, FXP_HANDLE, &in);
    if (status != APR_SUCCESS) return status;
    size_t bytes = 0;
    const uint8_t *text = sftp__in_text(&in, &bytes);
    if (in.bad || bytes == 0 || bytes > SFTP_HANDLE_MAX) return VFS_EFORMAT;
    memcpy(handle, text, bytes);
    *len = bytes;
    return APR_SUCCESS;
}
