/*
 * crash_log.c - the log of the crash shim: nodes, changes of files, changes of names, and what
 * makes them durable. Floor 1. Everything here runs with the turn (crash.h); the model stands in
 * crash.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/crash.h"
#include "vfs/shims/shim.h"

/* ---- nodes */

static crash_node_t **bucket_of(crash_t *crash, uint64_t dev, uint64_t ino)
{
    return &crash->buckets[vfs__shim_mix(dev ^ vfs__shim_mix(ino)) % CRASH_BUCKETS];
}

crash_node_t *vfs__crash_find(crash_t *crash, uint64_t dev, uint64_t ino)
{
    crash_node_t *node = *bucket_of(crash, dev, ino);
    while (node != NULL && !(node->alive && node->dev == dev && node->ino == ino))
        node = node->next;
    return node;
}

crash_node_t *vfs__crash_node(crash_t *crash, const vfs_attr_t *attr)
{
    crash_node_t *node = vfs__crash_find(crash, attr->dev, attr->ino);
    if (node != NULL) return node;
    node = calloc(1, sizeof(*node));
    if (node == NULL) return NULL;
    node->dev = attr->dev;
    node->ino = attr->ino;
    node->type = attr->type;
    node->alive = 1;
    node->last = &node->first;
    crash_node_t **bucket = bucket_of(crash, attr->dev, attr->ino);
    node->next = *bucket;
    *bucket = node;
    return node;
}

static void drop_blocks(crash_t *crash, crash_node_t *node)
{
    for (size_t i = 0; i < node->nblocks; i++) {
        crash->bytes -= CRASH_BLOCK;
        free(node->blocks[i].bytes);
    }
    free(node->blocks);
    node->blocks = NULL;
    node->nblocks = node->room = 0;
    node->bytes_noted = 0;
}

/* Drop the changes of a kind of bytes (and of all other kinds, if `all`). */
static void drop_changes(crash_t *crash, crash_node_t *node, int all)
{
    crash_change_t **link = &node->first;
    while (*link != NULL) {
        crash_change_t *change = *link;
        if (!all && change->kind != CRASH_SET_BYTES) {
            link = &change->next;
            continue;
        }
        *link = change->next;
        crash->bytes -= change->room;
        free(change);
    }
    node->last = link;
    drop_blocks(crash, node);
    if (all) node->attrs_noted = 0;
}

static void node_free(crash_t *crash, crash_node_t *node)
{
    crash_node_t **link = bucket_of(crash, node->dev, node->ino);
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    drop_changes(crash, node, 1);
    free(node->parked);
    free(node->target);
    free(node);
}

void vfs__crash_tidy(crash_t *crash, crash_node_t *node)
{
    if (node == NULL || node->refs > 0) return;
    VFS_ASSERT(node->removed == 0);
    if (node->first == NULL) {
        drop_blocks(crash, node);
        node->attrs_noted = 0;
    }
    if (node->alive && (node->first != NULL || node->parked != NULL)) return;
    node_free(crash, node);
}

void vfs__crash_ghost(crash_node_t *node, const vfs_attr_t *attr, char *target)
{
    VFS_ASSERT(node->alive && node->parked == NULL);
    vfs__crash_note_attrs(node, attr);
    free(node->target);
    node->target = target;
    node->alive = 0;
}

/* ---- limbo */

apr_status_t vfs__crash_place(crash_t *crash, char *buf, size_t size)
{
    if (!crash->limbo) {
        (void)vfs_remove_all(crash->lower, NULL, CRASH_LIMBO); /* of a life that ended early */
        apr_status_t status = vfs_mkdir(crash->lower, NULL, CRASH_LIMBO, 0700);
        if (status != APR_SUCCESS) return status;
        crash->limbo = 1;
    }
    int n = snprintf(buf, size, CRASH_LIMBO "/%llu", (unsigned long long)crash->places++);
    VFS_ASSERT(n > 0 && (size_t)n < size);
    return APR_SUCCESS;
}

static apr_status_t reserve_parked(crash_t *crash)
{
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&crash->lock);
    if (crash->nparked == crash->parked_room) {
        size_t room = crash->parked_room * 2 + 16;
        crash_id_t *grown = realloc(crash->parked, room * sizeof(*grown));
        if (grown != NULL) {
            crash->parked = grown;
            crash->parked_room = room;
        } else {
            status = APR_ENOMEM;
        }
    }
    pthread_mutex_unlock(&crash->lock);
    return status;
}

static void show_parked(crash_t *crash, const crash_node_t *node)
{
    pthread_mutex_lock(&crash->lock);
    VFS_ASSERT(crash->nparked < crash->parked_room);
    crash->parked[crash->nparked++] = (crash_id_t){.dev = node->dev, .ino = node->ino};
    pthread_mutex_unlock(&crash->lock);
}

static void hide_parked(crash_t *crash, const crash_node_t *node)
{
    pthread_mutex_lock(&crash->lock);
    for (size_t i = 0; i < crash->nparked; i++) {
        if (crash->parked[i].dev != node->dev || crash->parked[i].ino != node->ino) continue;
        crash->parked[i] = crash->parked[--crash->nparked];
        break;
    }
    pthread_mutex_unlock(&crash->lock);
}

apr_status_t vfs__crash_park(crash_t *crash, crash_node_t *node, const vfs_path_t *path)
{
    char place[64];
    if (node->parked != NULL) return APR_SUCCESS;
    apr_status_t status = vfs__crash_place(crash, place, sizeof(place));
    if (status == APR_SUCCESS) status = reserve_parked(crash);
    if (status != APR_SUCCESS) return status;
    node->parked = strdup(place);
    if (node->parked == NULL) return APR_ENOMEM;
    status = vfs_link(crash->lower, NULL, path->str, node->parked);
    if (status == APR_SUCCESS) {
        show_parked(crash, node);
    } else {
        free(node->parked);
        node->parked = NULL;
    }
    return status;
}

/* With its last link the file goes, and with it all that is logged of its bytes. */
void vfs__crash_unpark(crash_t *crash, crash_node_t *node)
{
    vfs_attr_t attr;
    if (node->parked == NULL) return;
    apr_status_t status = vfs_lstat(crash->lower, NULL, node->parked, &attr);
    int last = status == APR_SUCCESS && attr.nlink <= 1;
    (void)vfs_unlink(crash->lower, NULL, node->parked); /* what stays goes with limbo */
    hide_parked(crash, node);
    free(node->parked);
    node->parked = NULL;
    if (!last) return;
    drop_changes(crash, node, 1);
    node->alive = 0;
}

/* ---- changes of files */

void vfs__crash_note_attrs(crash_node_t *node, const vfs_attr_t *attr)
{
    if (node->attrs_noted) return;
    node->attrs_noted = 1;
    node->base = *attr;
}

/* Where the block stands, or would stand. */
static size_t block_slot(const crash_node_t *node, uint64_t index)
{
    size_t low = 0, high = node->nblocks;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (node->blocks[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static apr_status_t note_block(crash_t *crash, crash_node_t *node, vfs_file_t *reader,
                               uint64_t index)
{
    size_t slot = block_slot(node, index);
    if (slot < node->nblocks && node->blocks[slot].index == index) return APR_SUCCESS;
    if (node->nblocks == node->room) {
        size_t room = node->room * 2 + 4;
        crash_block_t *grown = realloc(node->blocks, room * sizeof(*grown));
        if (grown == NULL) return APR_ENOMEM;
        node->blocks = grown;
        node->room = room;
    }
    uint64_t start = index * CRASH_BLOCK;
    uint64_t left = node->base_size - start;
    crash_block_t block = {.index = index, .len = left < CRASH_BLOCK ? (size_t)left : CRASH_BLOCK};
    block.bytes = calloc(1, CRASH_BLOCK);
    if (block.bytes == NULL) return APR_ENOMEM;
    size_t got;
    apr_status_t status = vfs_read_at(reader, NULL, block.bytes, block.len, (apr_off_t)start, &got);
    if (status != APR_SUCCESS) {
        free(block.bytes);
        return status;
    }
    memmove(&node->blocks[slot + 1], &node->blocks[slot],
            (node->nblocks - slot) * sizeof(node->blocks[0]));
    node->blocks[slot] = block;
    node->nblocks++;
    crash->bytes += CRASH_BLOCK;
    return APR_SUCCESS;
}

apr_status_t vfs__crash_note_bytes(crash_t *crash, crash_node_t *node, vfs_file_t *reader,
                                   const vfs_attr_t *attr, uint64_t from, uint64_t to)
{
    vfs__crash_note_attrs(node, attr);
    if (!node->bytes_noted) {
        node->bytes_noted = 1;
        node->base_size = attr->size;
    }
    if (to > node->base_size) to = node->base_size;
    apr_status_t status = APR_SUCCESS;
    for (uint64_t i = from / CRASH_BLOCK; i * CRASH_BLOCK < to && status == APR_SUCCESS; i++)
        status = note_block(crash, node, reader, i);
    return status;
}

crash_change_t *vfs__crash_change(crash_kind_e kind, size_t room)
{
    crash_change_t *change = malloc(sizeof(*change) + room);
    if (change == NULL) return NULL;
    memset(change, 0, sizeof(*change));
    change->kind = kind;
    change->size = -1;
    change->old_len = -1;
    change->room = room;
    return change;
}

void vfs__crash_log(crash_t *crash, crash_node_t *node, crash_change_t *change)
{
    change->seq = crash->seq++;
    crash->bytes += change->room;
    *node->last = change;
    node->last = &change->next;
}

/* ---- changes of names */

crash_op_t *vfs__crash_op(void)
{
    return calloc(1, sizeof(crash_op_t));
}

apr_status_t vfs__crash_edit(crash_op_t *op, crash_node_t *dir, const char *name,
                             crash_node_t *before, crash_node_t *after)
{
    VFS_ASSERT(op->nedits < 2);
    crash_edit_t *edit = &op->edits[op->nedits];
    edit->name = strdup(name);
    if (edit->name == NULL) return APR_ENOMEM;
    edit->dir = dir;
    edit->before = before;
    edit->after = after;
    op->nedits++;
    return APR_SUCCESS;
}

void vfs__crash_op_free(crash_op_t *op)
{
    if (op == NULL) return;
    for (unsigned i = 0; i < op->nedits; i++)
        free(op->edits[i].name);
    free(op->above);
    free(op);
}

/* Count the op's places in its nodes, up or down. */
static void count_refs(crash_op_t *op, int up)
{
    unsigned one = up ? 1 : UINT32_MAX;
    for (unsigned i = 0; i < op->nedits; i++) {
        crash_edit_t *edit = &op->edits[i];
        edit->dir->refs += one;
        if (edit->after != NULL) edit->after->refs += one;
        if (edit->before == NULL) continue;
        edit->before->refs += one;
        edit->before->removed += one;
    }
    for (size_t i = 0; i < op->nabove; i++)
        op->above[i]->refs += one;
}

void vfs__crash_log_op(crash_t *crash, crash_op_t *op)
{
    op->seq = crash->seq++;
    op->prev = crash->last;
    if (crash->last != NULL)
        crash->last->next = op;
    else
        crash->first = op;
    crash->last = op;
    crash->nops++;
    count_refs(op, 1);
}

static int same_name(const crash_edit_t *a, const crash_edit_t *b)
{
    return a->dir == b->dir && strcmp(a->name, b->name) == 0;
}

int vfs__crash_depends(const crash_op_t *later, const crash_op_t *earlier)
{
    for (unsigned e = 0; e < earlier->nedits; e++) {
        const crash_edit_t *edit = &earlier->edits[e];
        if (later->gone != NULL && edit->dir == later->gone) return 1;
        for (unsigned l = 0; l < later->nedits; l++)
            if (same_name(&later->edits[l], edit)) return 1;
        for (size_t a = 0; a < later->nabove; a++)
            if (edit->after == later->above[a]) return 1;
    }
    return 0;
}

/* ---- durability */

/* Tidy the nodes of an op that has left the log. A node may stand in several places of it, and is
 * freed with the first that finds it idle, so each is looked at once. */
static void tidy_op(crash_t *crash, crash_op_t *op)
{
    crash_node_t *seen[6];
    size_t count = 0;
    for (unsigned i = 0; i < op->nedits; i++) {
        crash_node_t *const of_edit[3] = {op->edits[i].dir, op->edits[i].before,
                                          op->edits[i].after};
        for (size_t n = 0; n < 3; n++) {
            int again = of_edit[n] == NULL;
            for (size_t s = 0; s < count; s++)
                again |= seen[s] == of_edit[n];
            if (!again) seen[count++] = of_edit[n];
        }
    }
    for (size_t a = 0; a < op->nabove; a++) {
        int again = 0;
        for (size_t s = 0; s < count; s++)
            again |= seen[s] == op->above[a];
        if (!again) vfs__crash_tidy(crash, op->above[a]);
    }
    for (size_t s = 0; s < count; s++) {
        if (seen[s]->removed == 0) vfs__crash_unpark(crash, seen[s]);
        vfs__crash_tidy(crash, seen[s]);
    }
}

/* Take the ops that are marked durable, and all that they depend on, out of the log. The nodes in
 * `above` are dirs or results of other ops: those tidy them. */
static void sweep(crash_t *crash)
{
    for (crash_op_t *later = crash->last; later != NULL; later = later->prev)
        for (crash_op_t *earlier = later->durable ? later->prev : NULL; earlier != NULL;
             earlier = earlier->prev)
            if (!earlier->durable) earlier->durable = vfs__crash_depends(later, earlier);
    for (crash_op_t *op = crash->first, *next; op != NULL; op = next) {
        next = op->next;
        if (!op->durable) continue;
        *(op->prev != NULL ? &op->prev->next : &crash->first) = next;
        *(next != NULL ? &next->prev : &crash->last) = op->prev;
        crash->nops--;
        count_refs(op, 0);
        tidy_op(crash, op);
        vfs__crash_op_free(op);
    }
}

void vfs__crash_file_durable(crash_t *crash, crash_node_t *node, int all)
{
    drop_changes(crash, node, all);
    node->refs++; /* it is looked at once more */
    for (crash_op_t *op = crash->first; op != NULL; op = op->next)
        op->durable |= op->made == node;
    sweep(crash);
    node->refs--;
    vfs__crash_tidy(crash, node);
}

void vfs__crash_dir_durable(crash_t *crash, crash_node_t *dir)
{
    drop_changes(crash, dir, 1);
    dir->refs++;
    for (crash_op_t *op = crash->first; op != NULL; op = op->next)
        for (unsigned i = 0; i < op->nedits; i++)
            op->durable |= op->edits[i].dir == dir;
    sweep(crash);
    dir->refs--;
    vfs__crash_tidy(crash, dir);
}

void vfs__crash_all_durable(crash_t *crash)
{
    for (crash_op_t *op = crash->first; op != NULL; op = op->next)
        op->durable = 1;
    sweep(crash);
    vfs__crash_forget(crash);
}

void vfs__crash_limit(crash_t *crash)
{
    if (crash->bytes > CRASH_BYTES_MAX || crash->nops > CRASH_NAMES_MAX)
        vfs__crash_all_durable(crash);
}

/* A node that a call under way holds stays, empty. */
void vfs__crash_forget(crash_t *crash)
{
    for (crash_op_t *op = crash->first, *next; op != NULL; op = next) {
        next = op->next;
        count_refs(op, 0);
        vfs__crash_op_free(op);
    }
    crash->first = crash->last = NULL;
    crash->nops = 0;
    for (size_t i = 0; i < CRASH_BUCKETS; i++) {
        for (crash_node_t *node = crash->buckets[i], *next; node != NULL; node = next) {
            next = node->next;
            drop_changes(crash, node, 1);
            free(node->parked);
            node->parked = NULL;
            vfs__crash_tidy(crash, node);
        }
    }
    pthread_mutex_lock(&crash->lock);
    crash->nparked = 0;
    pthread_mutex_unlock(&crash->lock);
    VFS_ASSERT(crash->bytes == 0);
}
