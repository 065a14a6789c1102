/*
 * fault.c - the shim that makes calls fail by rules.
 * Floor 1.
 *
 * The idea: each rule counts the calls that reach it, that is, that match its ops and its glob and
 * that no rule before it took. The rule acts on its n-th call and those after it as long as `times`
 * says; a probability is drawn from (seed, rule, n), not from a running state. So what happens to
 * the n-th matching call depends on nothing but the rules and n, whatever other calls come between,
 * and a sweep over n meets each call once. Every call is counted once: as injected when a rule
 * acted on it, else as passed.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/shim.h"
#include "vfs/wait.h"

/* What begin leaves for end to do. */
enum { ACT_NONE = 0, ACT_ANSWER, ACT_FLIP };

typedef struct rule_t rule_t;
struct rule_t {
    rule_t *next;
    vfs_fault_t
        fault; /**< filled: status and ops say what applies; glob points to the copy behind */
    uint64_t number;
    uint64_t seen;
    char glob[];
};

/* All guarded by lock. */
typedef struct fault_t {
    pthread_mutex_t lock;
    pthread_cond_t released;
    rule_t *rules;
    rule_t **tail;
    uint64_t seed;
    uint64_t numbers;
    uint64_t injected;
    uint64_t passed;
    uint64_t blocked;
    uint64_t releases; /**< moves on with each release */
} fault_t;

static int has_op(const uint64_t *ops, vfs_opid_e op)
{
    return (ops[op / 64] >> (op % 64) & 1) != 0;
}

static int rule_matches(const rule_t *rule, const shim_call_t *call)
{
    if (!has_op(rule->fault.ops, call->op)) return 0;
    if (rule->fault.glob == NULL) return 1;
    if (call->path != NULL && vfs_glob_match(rule->fault.glob, call->path)) return 1;
    return call->to != NULL && vfs_glob_match(rule->fault.glob, call->to);
}

/* Count the call and tell whether the rule acts on it. */
static int rule_acts(const fault_t *state, rule_t *rule)
{
    const vfs_fault_t *fault = &rule->fault;
    uint64_t n = ++rule->seen;
    uint64_t first = fault->nth == 0 ? 1 : fault->nth;
    if (n < first) return 0;
    if (fault->times != 0 && n - first >= fault->times) return 0;
    if (fault->probability == 0 || fault->probability >= 1) return 1;
    uint64_t draw = vfs__shim_mix(state->seed ^ vfs__shim_mix(rule->number)) + n;
    return vfs__shim_unit(draw) < fault->probability;
}

/* Find the rule for a call, and what it draws on. Returns whether there is one. */
static int pick(fault_t *state, shim_call_t *call, vfs_fault_t *fault)
{
    for (rule_t *rule = state->rules; rule != NULL; rule = rule->next) {
        if (!rule_matches(rule, call) || !rule_acts(state, rule)) continue;
        *fault = rule->fault;
        call->note = vfs__shim_mix(state->seed + rule->number) + rule->seen;
        state->injected++;
        return 1;
    }
    state->passed++;
    return 0;
}

/* Wait until a release; lock is held. */
static apr_status_t block(fault_t *state, const vfs_ctx_t *ctx)
{
    uint64_t before = state->releases;
    apr_status_t status = APR_SUCCESS;
    state->blocked++;
    while (state->releases == before && status == APR_SUCCESS)
        status = vfs__cond_wait(&state->released, &state->lock, ctx);
    state->blocked--;
    return state->releases != before ? APR_SUCCESS : status;
}

/* Some bytes get into the buffer, but the answer is an error, so none counts. */
static apr_status_t short_read(shim_call_t *call, const vfs_fault_t *fault)
{
    size_t len = fault->bytes < call->len ? fault->bytes : call->len;
    apr_status_t status;
    if (call->op == VFS_OPID_get) {
        status = vfs_call_get(call->fs->lower, call->ctx, call->where, call->into, len, call->done,
                              call->attr, call->validator);
    } else if (call->op == VFS_OPID_read_at) {
        status = vfs_call_read_at(call->file, call->ctx, call->into, len, call->off, call->done);
    } else {
        vfs_iovec_t head[SHIM_IOV_MAX];
        size_t count = vfs__shim_iov_head(head, call->iov, call->count, len);
        if (call->op == VFS_OPID_fetch)
            status = vfs_call_fetch(call->file, call->ctx, head, count, call->off, call->done,
                                    call->validator);
        else
            status = vfs_call_readv_at(call->file, call->ctx, head, count, call->off, call->done);
    }
    *call->done = 0;
    return status == APR_SUCCESS ? fault->status : status;
}

/* The lower takes a part, and the error says how much. */
static apr_status_t torn_write(shim_call_t *call, const vfs_fault_t *fault)
{
    size_t len = fault->bytes < call->len ? fault->bytes : call->len;
    apr_status_t status;
    if (call->op == VFS_OPID_write_at) {
        status = vfs_call_write_at(call->file, call->ctx, call->from, len, call->off, call->done,
                                   call->validator);
    } else {
        vfs_iovec_t head[SHIM_IOV_MAX];
        size_t count = vfs__shim_iov_head(head, call->iov, call->count, len);
        status = vfs_call_writev_at(call->file, call->ctx, head, count, call->off, call->done,
                                    call->validator);
    }
    return status == APR_SUCCESS ? fault->status : status;
}

static apr_status_t fault_begin(shim_call_t *call)
{
    fault_t *state = call->fs->state;
    vfs_fault_t fault;
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&state->lock);
    int found = pick(state, call, &fault);
    if (found && fault.what == VFS_FAULT_BLOCK) status = block(state, call->ctx);
    pthread_mutex_unlock(&state->lock);
    if (!found || fault.what == VFS_FAULT_BLOCK) return status;
    switch (fault.what) {
    case VFS_FAULT_SHORT_READ:
        return short_read(call, &fault);
    case VFS_FAULT_TORN_WRITE:
        return torn_write(call, &fault);
    case VFS_FAULT_FLIP:
        call->act = ACT_FLIP;
        return APR_SUCCESS;
    case VFS_FAULT_LOST_REPLY:
        call->act = ACT_ANSWER;
        call->since_ns = fault.status;
        return APR_SUCCESS;
    default:
        return fault.status;
    }
}

/* Turn one of the bits that were read. */
static void flip(const shim_call_t *call)
{
    size_t bytes = *call->done;
    if (bytes == 0) return;
    size_t at = (size_t)(vfs__shim_mix(call->note) % bytes);
    unsigned char bit = (unsigned char)(1u << (vfs__shim_mix(call->note + 1) % 8));
    if (call->iov == NULL) {
        ((unsigned char *)call->into)[at] ^= bit;
        return;
    }
    size_t i = 0;
    for (; at >= call->iov[i].len; i++)
        at -= call->iov[i].len;
    ((unsigned char *)call->iov[i].base)[at] ^= bit;
}

static apr_status_t fault_end(shim_call_t *call, apr_status_t status)
{
    if (call->act == ACT_FLIP && status == APR_SUCCESS) flip(call);
    if (call->act != ACT_ANSWER) return status;
    if (call->done != NULL) *call->done = 0; /* the answer is lost, and all that it said */
    if (call->validator != NULL) memset(call->validator, 0, sizeof(*call->validator));
    return (apr_status_t)call->since_ns;
}

static void drop_rules(fault_t *state)
{
    while (state->rules != NULL) {
        rule_t *next = state->rules->next;
        free(state->rules);
        state->rules = next;
    }
    state->tail = &state->rules;
}

static void free_state(fault_t *state)
{
    VFS_ASSERT(state->blocked == 0);
    drop_rules(state);
    pthread_cond_destroy(&state->released);
    pthread_mutex_destroy(&state->lock);
    free(state);
}

static apr_status_t fault_destroy(vfs_t *fs)
{
    free_state(fs->state);
    return APR_SUCCESS;
}

#define SHIM fault
#include "vfs/shims/shim_ops.def"

apr_status_t vfs_fault_create(vfs_t **out, vfs_t *lower, uint64_t seed, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    fault_t *state = calloc(1, sizeof(*state));
    if (state == NULL) return APR_ENOMEM;
    int err = pthread_mutex_init(&state->lock, NULL);
    VFS_ASSERT(err == 0);
    err = pthread_cond_init(&state->released, NULL);
    VFS_ASSERT(err == 0);
    state->seed = seed;
    state->tail = &state->rules;
    apr_status_t status = vfs_create(out, &fault_ops, lower, state, NULL, pool);
    if (status != APR_SUCCESS) free_state(state);
    return status;
}

/* The ops that a kind of fault can act on; {0, 0}: all but those that end something. */
static void ops_of(vfs_fault_e what, uint64_t ops[2])
{
    vfs_fault_t set = {.ops = {0, 0}};
    if (what == VFS_FAULT_SHORT_READ || what == VFS_FAULT_FLIP) {
        VFS_FAULT_OP(set, VFS_OPID_get);
        VFS_FAULT_OP(set, VFS_OPID_read_at);
        VFS_FAULT_OP(set, VFS_OPID_readv_at);
        VFS_FAULT_OP(set, VFS_OPID_fetch);
    } else if (what == VFS_FAULT_TORN_WRITE) {
        VFS_FAULT_OP(set, VFS_OPID_write_at);
        VFS_FAULT_OP(set, VFS_OPID_writev_at);
    } else {
        for (unsigned op = 0; op < VFS_OPID_COUNT; op++)
            VFS_FAULT_OP(set, op);
    }
    memcpy(ops, set.ops, sizeof(set.ops));
}

static void without(uint64_t ops[2], vfs_opid_e op)
{
    ops[op / 64] &= ~(1ull << (op % 64));
}

/* Fill in what was left to us, and refuse what makes no sense. */
static apr_status_t complete(vfs_fault_t *fault)
{
    uint64_t can[2];
    VFS_CHECK_ARG((unsigned)fault->what <= VFS_FAULT_FLIP);
    VFS_CHECK_ARG(fault->probability >= 0 && fault->probability <= 1);
    VFS_CHECK_ARG(fault->glob == NULL || fault->glob[0] != '\0');
    ops_of(fault->what, can);
    if (fault->ops[0] == 0 && fault->ops[1] == 0) {
        memcpy(fault->ops, can, sizeof(can));
        without(fault->ops, VFS_OPID_close);
        without(fault->ops, VFS_OPID_closedir);
        without(fault->ops, VFS_OPID_unwatch);
    }
    VFS_CHECK_ARG((fault->ops[0] & ~can[0]) == 0 && (fault->ops[1] & ~can[1]) == 0);
    if (fault->status == APR_SUCCESS) fault->status = APR_FROM_OS_ERROR(EIO);
    return APR_SUCCESS;
}

apr_status_t vfs_fault_add(vfs_t *shim, const vfs_fault_t *fault)
{
    VFS_CHECK_ARG(shim != NULL && shim->ops.destroy == fault_destroy && fault != NULL);
    vfs_fault_t filled = *fault;
    apr_status_t status = complete(&filled);
    if (status != APR_SUCCESS) return status;
    size_t glob_size = fault->glob != NULL ? strlen(fault->glob) + 1 : 0;
    rule_t *rule = calloc(1, sizeof(*rule) + glob_size);
    if (rule == NULL) return APR_ENOMEM;
    rule->fault = filled;
    if (glob_size > 0) {
        memcpy(rule->glob, fault->glob, glob_size);
        rule->fault.glob = rule->glob;
    }
    fault_t *state = shim->state;
    pthread_mutex_lock(&state->lock);
    rule->number = state->numbers++;
    *state->tail = rule;
    state->tail = &rule->next;
    pthread_mutex_unlock(&state->lock);
    return APR_SUCCESS;
}

static void release(fault_t *state)
{
    state->releases++;
    pthread_cond_broadcast(&state->released);
}

void vfs_fault_clear(vfs_t *shim)
{
    VFS_ASSERT(shim->ops.destroy == fault_destroy);
    fault_t *state = shim->state;
    pthread_mutex_lock(&state->lock);
    drop_rules(state);
    state->numbers = 0; /* the same rules again draw the same again */
    state->injected = 0;
    state->passed = 0;
    release(state);
    pthread_mutex_unlock(&state->lock);
}

void vfs_fault_release(vfs_t *shim)
{
    VFS_ASSERT(shim->ops.destroy == fault_destroy);
    fault_t *state = shim->state;
    pthread_mutex_lock(&state->lock);
    release(state);
    pthread_mutex_unlock(&state->lock);
}

uint64_t vfs_fault_injected(vfs_t *shim, uint64_t *passed)
{
    VFS_ASSERT(shim->ops.destroy == fault_destroy);
    fault_t *state = shim->state;
    pthread_mutex_lock(&state->lock);
    uint64_t injected = state->injected;
    if (passed != NULL) *passed = state->passed;
    pthread_mutex_unlock(&state->lock);
    return injected;
}

uint64_t vfs_fault_blocked(vfs_t *shim)
{
    VFS_ASSERT(shim->ops.destroy == fault_destroy);
    fault_t *state = shim->state;
    pthread_mutex_lock(&state->lock);
    uint64_t blocked = state->blocked;
    pthread_mutex_unlock(&state->lock);
    return blocked;
}
