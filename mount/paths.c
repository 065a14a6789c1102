/*
 * paths.c - paths that stay what they are while they are used, and changes of names.
 * Floor 4, private to mount/.
 *
 * Who asks something below by a path uses all names on it: none of them changes until he is done.
 * Who changes names takes them: he waits until nobody uses them, and whoever wants to use them
 * waits for him. So a call that goes by a path never meets another file than the one that it is
 * about, and a rename waits only for what goes on at and below what it moves.
 *
 * No deadlock: all that a call needs is had at once or not at all, so nobody who has something
 * waits. No starvation of changes: who waits to take a name marks it as wanted, and no new use of
 * it begins; those who take names pass by such marks.
 */
#include "mount/mount.h"

#include <errno.h>
#include <string.h>

enum { BUSY = -1 };

/* What a path is for: to go by it, to change its last name, to be shown. */
typedef enum { TO_USE = 0, TO_TAKE, TO_SHOW } why_e;

/* The name by which a path can go up from here: a file may have others that are free. */
static name_t *way_up(const inode_t *inode, why_e why)
{
    name_t *name = inode->names;
    while (name != NULL && why != TO_SHOW && (name->taken || (name->wanted && why == TO_USE)))
        name = name->next;
    return name;
}

/* Go up from `inode`, and put the names together in front of the text that is there from `at` on.
 * The place where it begins, or -errno, or BUSY. */
static int walk_up(table_t *table, inode_t *inode, why_e why, char *text, int at, name_t **last)
{
    *last = NULL;
    while (inode != &table->root) {
        name_t *name = way_up(inode, why);
        if (name == NULL) return inode->names != NULL ? BUSY : -ESTALE;
        if (at < (int)name->len + 1) return -ENAMETOOLONG;
        at -= name->len;
        memcpy(text + at, name->text, name->len);
        text[--at] = '/';
        if (*last == NULL) *last = name;
        inode = name->dir;
    }
    return at;
}

static void use(name_t *last, int by)
{
    for (name_t *name = last; name != NULL; name = name->dir->names)
        name->uses += (uint32_t)by;
}

/* BUSY, 0, or an errno. `name` may be NULL. */
static int path_once(table_t *table, inode_t *inode, const char *name, why_e why, path_t *path)
{
    char text[VFS_PATH_MAX + 1];
    int at = VFS_PATH_MAX;
    text[at] = '\0';
    if (name != NULL) {
        size_t len = strlen(name);
        if (len > VFS_NAME_MAX) return ENAMETOOLONG;
        at -= (int)len;
        memcpy(text + at, name, len);
        text[--at] = '/';
    }
    at = walk_up(table, inode, why, text, at, &path->last);
    if (at == BUSY) return BUSY;
    if (at < 0) return -at;
    if (text[at] == '\0') text[--at] = '/';
    memcpy(path->text, text + at, (size_t)(VFS_PATH_MAX - at) + 1);
    return 0;
}

static int get_path(table_t *table, inode_t *inode, const char *name, path_t *path)
{
    int error;
    (void)pthread_mutex_lock(&table->mutex);
    while ((error = path_once(table, inode, name, TO_USE, path)) == BUSY)
        mount__table_wait(table);
    if (error == 0) use(path->last, 1);
    (void)pthread_mutex_unlock(&table->mutex);
    return error;
}

int mount__path_of(table_t *table, inode_t *inode, path_t *path)
{
    return get_path(table, inode, NULL, path);
}

int mount__path_in(table_t *table, inode_t *dir, const char *name, path_t *path)
{
    return get_path(table, dir, name, path);
}

const char *mount__path_seen(table_t *table, inode_t *inode, const char *name, path_t *path)
{
    (void)pthread_mutex_lock(&table->mutex);
    int error = path_once(table, inode, name, TO_SHOW, path);
    (void)pthread_mutex_unlock(&table->mutex);
    return error == 0 ? path->text : NULL;
}

int mount__path_both(table_t *table, inode_t *inode, path_t *path, inode_t *dir, const char *name,
                     path_t *in)
{
    int error;
    (void)pthread_mutex_lock(&table->mutex);
    for (;;) {
        error = path_once(table, inode, NULL, TO_USE, path);
        if (error == 0) error = path_once(table, dir, name, TO_USE, in);
        if (error != BUSY) break;
        mount__table_wait(table);
    }
    if (error == 0) {
        use(path->last, 1);
        use(in->last, 1);
    }
    (void)pthread_mutex_unlock(&table->mutex);
    return error;
}

static void end_use(table_t *table, path_t *path)
{
    if (path->last == NULL) return;
    use(path->last, -1);
    mount__inode_drop(table, path->last->inode); /* if the kernel has forgotten it meanwhile */
    path->last = NULL;
}

void mount__path_end(table_t *table, path_t *path)
{
    (void)pthread_mutex_lock(&table->mutex);
    end_use(table, path);
    mount__table_wake(table);
    (void)pthread_mutex_unlock(&table->mutex);
}

/* ---- changes */

static int claim_once(table_t *table, claim_t *claim)
{
    for (int i = 0; i < claim->count; i++) {
        int error = path_once(table, claim->dir[i], claim->text[i], TO_TAKE, &claim->at[i]);
        if (error != 0) return error;
        claim->name[i] =
            mount__name_find(table, claim->dir[i], claim->text[i], strlen(claim->text[i]));
        if (claim->name[i] == NULL) continue;
        if (claim->name[i]->uses > 0 || claim->name[i]->taken) {
            claim->name[i]->wanted = 1;
            return BUSY;
        }
    }
    return 0;
}

static void unwant(table_t *table, claim_t *claim)
{
    for (int i = 0; i < claim->count; i++) {
        name_t *name =
            mount__name_find(table, claim->dir[i], claim->text[i], strlen(claim->text[i]));
        if (name != NULL) name->wanted = 0;
    }
}

int mount__claim(table_t *table, claim_t *claim, inode_t *dir, const char *name, inode_t *to_dir,
                 const char *to_name)
{
    int error;
    claim->dir[0] = dir;
    claim->text[0] = name;
    claim->dir[1] = to_dir;
    claim->text[1] = to_name;
    claim->count = to_dir != NULL ? 2 : 1;
    (void)pthread_mutex_lock(&table->mutex);
    while ((error = claim_once(table, claim)) == BUSY)
        mount__table_wait(table);
    unwant(table, claim); /* another who waits marks it again when he looks */
    for (int i = 0; i < claim->count && error == 0; i++) {
        use(claim->at[i].last, 1);
        if (claim->name[i] != NULL) claim->name[i]->taken = 1;
    }
    if (error != 0) mount__table_wake(table);
    (void)pthread_mutex_unlock(&table->mutex);
    return error;
}

void mount__claim_end(table_t *table, claim_t *claim)
{
    (void)pthread_mutex_lock(&table->mutex);
    for (int i = 0; i < claim->count; i++) {
        if (claim->name[i] != NULL) {
            claim->name[i]->taken = 0;
            mount__inode_drop(table, claim->name[i]->inode);
        }
        claim->name[i] = NULL;
    }
    for (int i = 0; i < claim->count; i++)
        end_use(table, &claim->at[i]);
    mount__table_wake(table);
    (void)pthread_mutex_unlock(&table->mutex);
}

/* The inode lost a name by a change of ours. With the last one its number may become another
 * file's. */
static void lost_name(table_t *table, inode_t *inode)
{
    if (inode->attr.nlink > 0) inode->attr.nlink--;
    if (inode->attr.type == VFS_TYPE_DIR) inode->attr.nlink = 0;
    if (inode->names == NULL && inode->attr.nlink == 0 && inode->hashed == KEY_IDENTITY)
        mount__inode_unhash(table, inode);
    mount__inode_drop(table, inode);
}

static void remove_claimed(table_t *table, claim_t *claim, int i)
{
    name_t *name = claim->name[i];
    if (name == NULL) return;
    inode_t *inode = name->inode;
    claim->name[i] = NULL;
    mount__name_remove(table, name); /* its directory is on the path of the claim, and stays */
    lost_name(table, inode);
}

void mount__claim_removed(table_t *table, claim_t *claim)
{
    (void)pthread_mutex_lock(&table->mutex);
    remove_claimed(table, claim, 0);
    (void)pthread_mutex_unlock(&table->mutex);
}

/* Put `inode` under another name; where there is no memory for it the next look-up does. */
static void move_to(table_t *table, claim_t *claim, int i, inode_t *inode)
{
    if (inode == NULL) return;
    claim->name[i] = mount__name_add(table, claim->dir[i], claim->text[i], inode);
    if (claim->name[i] != NULL) claim->name[i]->taken = 1;
}

void mount__claim_moved(table_t *table, claim_t *claim, int exchanged)
{
    (void)pthread_mutex_lock(&table->mutex);
    inode_t *from = claim->name[0] != NULL ? claim->name[0]->inode : NULL;
    inode_t *to = claim->name[1] != NULL ? claim->name[1]->inode : NULL;
    if (from != NULL && from == to && !exchanged) {
        /* Two names of one file, and nothing happened; or others had taken the second one away, and
         * the first has become it. The second is there in either case. */
        mount__name_remove(table, claim->name[0]);
        claim->name[0] = NULL;
    } else if (from == NULL || from != to) {
        if (!exchanged) remove_claimed(table, claim, 1);
        for (int i = 0; i < 2; i++) {
            if (claim->name[i] != NULL) mount__name_remove(table, claim->name[i]);
            claim->name[i] = NULL;
        }
        move_to(table, claim, 1, from);
        if (exchanged) move_to(table, claim, 0, to);
    }
    (void)pthread_mutex_unlock(&table->mutex);
}
