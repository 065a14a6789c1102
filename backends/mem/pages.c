/*
 * pages.c - the pages of one file, in a radix tree that grows with the highest page. Floor 2. Knows
 * no inodes.
 *
 * A tree of height h covers 64^h pages; height 0 is the page itself, so a file of up to 4 KiB has
 * no node. A slot is NULL (a hole), mem__reserved_page (paid for, never written, reads as zeros) or
 * a page. A node leaves with its last slot. Every page in the tree has been charged to the file
 * system.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/mem/mem.h"

#define MEM_HEIGHT_MAX 6 /* 64^6 pages are more than MEM_FILE_MAX holds */

typedef struct mem_node_t {
    uint32_t used;
    void *slot[MEM_NODE_SLOTS];
} mem_node_t;

unsigned char mem__reserved_page[1];

static uint64_t tree_span(uint32_t height)
{
    return 1ull << (MEM_NODE_BITS * height);
}

static unsigned slot_of(uint64_t index, uint32_t height)
{
    VFS_DEBUG_ASSERT(height > 0);
    return (unsigned)(index >> (MEM_NODE_BITS * (height - 1))) & (MEM_NODE_SLOTS - 1);
}

uint64_t mem__pages_run(const mem_pages_t *pages, uint64_t index, void *const **slots)
{
    void *const *at = &pages->root;

    *slots = NULL;
    if (pages->root == NULL || index >= tree_span(pages->height)) return UINT64_MAX - index;
    for (uint32_t height = pages->height; height > 0; height--) {
        const mem_node_t *node = *at;
        if (node == NULL) return tree_span(height) - (index & (tree_span(height) - 1));
        at = &node->slot[slot_of(index, height)];
    }
    *slots = at;
    return pages->height == 0 ? 1 : MEM_NODE_SLOTS - (index & (MEM_NODE_SLOTS - 1));
}

unsigned char *mem__page_at(const mem_pages_t *pages, uint64_t index)
{
    void *const *slots;

    (void)mem__pages_run(pages, index, &slots); /* one slot is all that is asked for */
    return slots != NULL ? *slots : NULL;
}

static int slot_is(const void *slot, mem_want_e want)
{
    switch (want) {
    case MEM_WANT_HOLE:
        return slot == NULL;
    case MEM_WANT_PAGE:
        return slot != NULL;
    case MEM_WANT_DATA:
        return slot != NULL && slot != mem__reserved_page;
    case MEM_WANT_EMPTY:
        break;
    }
    return slot == NULL || slot == mem__reserved_page;
}

uint64_t mem__pages_next(const mem_pages_t *pages, uint64_t index, uint64_t end, mem_want_e want)
{
    while (index < end) {
        void *const *slots;
        uint64_t run = mem__pages_run(pages, index, &slots);
        if (slots == NULL) {
            if (slot_is(NULL, want)) return index;
            index += run < end - index ? run : end - index;
            continue;
        }
        for (uint64_t i = 0; i < run && index < end; i++, index++) {
            if (slot_is(slots[i], want)) return index;
        }
    }
    return end;
}

/* Let the tree reach `index`. */
static apr_status_t tree_grow(mem_pages_t *pages, uint64_t index)
{
    while (index >= tree_span(pages->height)) {
        VFS_ASSERT(pages->height < MEM_HEIGHT_MAX);
        if (pages->root != NULL) {
            mem_node_t *node = calloc(1, sizeof(*node));
            if (node == NULL) return APR_ENOMEM;
            node->slot[0] = pages->root;
            node->used = 1;
            pages->root = node;
        }
        pages->height++;
    }
    return APR_SUCCESS;
}

/* Free the nodes on the way to `index` that hold nothing. path[h] is the node at height h. */
static void tree_prune(mem_pages_t *pages, mem_node_t **path, uint64_t index)
{
    for (uint32_t height = 1; height <= pages->height; height++) {
        mem_node_t *node = path[height];
        if (node == NULL) continue;
        if (node->used > 0) return;
        free(node);
        if (height == pages->height) {
            pages->root = NULL;
        } else {
            mem_node_t *above = path[height + 1];
            above->slot[slot_of(index, height + 1)] = NULL;
            above->used--;
        }
    }
    if (pages->root == NULL) pages->height = 0;
}

apr_status_t mem__page_set(mem_pages_t *pages, uint64_t index, unsigned char *page)
{
    mem_node_t *path[MEM_HEIGHT_MAX + 1] = {NULL};
    void **at = &pages->root;
    uint32_t *used = NULL;

    if (tree_grow(pages, index) != APR_SUCCESS) return APR_ENOMEM;
    for (uint32_t height = pages->height; height > 0; height--) {
        if (*at == NULL) {
            *at = calloc(1, sizeof(mem_node_t));
            if (*at == NULL) {
                tree_prune(pages, path, index);
                return APR_ENOMEM;
            }
            if (used != NULL) ++*used;
        }
        path[height] = *at;
        used = &path[height]->used;
        at = &path[height]->slot[slot_of(index, height)];
    }
    if (*at == NULL) {
        if (used != NULL) ++*used;
        pages->count++;
    }
    *at = page;
    return APR_SUCCESS;
}

unsigned char *mem__page_take(mem_pages_t *pages, uint64_t index)
{
    mem_node_t *path[MEM_HEIGHT_MAX + 1] = {NULL};
    void **at = &pages->root;
    unsigned char *page;

    if (index >= tree_span(pages->height)) return NULL;
    for (uint32_t height = pages->height; height > 0; height--) {
        path[height] = *at;
        if (path[height] == NULL) return NULL;
        at = &path[height]->slot[slot_of(index, height)];
    }
    page = *at;
    if (page == NULL) return NULL;
    *at = NULL;
    pages->count--;
    if (pages->height > 0) path[1]->used--;
    tree_prune(pages, path, index);
    return page;
}

void mem__pages_drop(mem_fs_t *fs, mem_pages_t *pages, uint64_t from, uint64_t to)
{
    uint64_t dropped = 0;

    while (pages->count > 0 && (from = mem__pages_next(pages, from, to, MEM_WANT_PAGE)) < to) {
        unsigned char *page = mem__page_take(pages, from++);
        if (page != mem__reserved_page) free(page);
        dropped++;
    }
    if (dropped > 0) mem__refund(fs, dropped * MEM_PAGE);
}

apr_status_t mem__page_writable(mem_fs_t *fs, mem_pages_t *pages, uint64_t index, int whole,
                                unsigned char **out)
{
    unsigned char *old = mem__page_at(pages, index), *page;

    if (old != NULL && old != mem__reserved_page) {
        *out = old;
        return APR_SUCCESS;
    }
    if (old == NULL && !mem__charge(fs, MEM_PAGE)) return APR_ENOSPC;
    page = whole ? malloc(MEM_PAGE) : calloc(1, MEM_PAGE);
    if (page == NULL || mem__page_set(pages, index, page) != APR_SUCCESS) {
        free(page);
        if (old == NULL) mem__refund(fs, MEM_PAGE);
        return APR_ENOMEM;
    }
    *out = page;
    return APR_SUCCESS;
}
