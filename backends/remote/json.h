/*
 * json.h - words of JSON, one after the other, within bounds: what servers answer is flat, so who
 * reads it knows what has to come next. Floor 2, shared by backends/ alone.
 */
#ifndef BACKENDS_REMOTE_JSON_H
#define BACKENDS_REMOTE_JSON_H

#include <stddef.h>

/** A text that is read; set the first four. */
typedef struct remote_json_t {
    const char *at, *end;
    char *text;  /**< gets the string or number that was read last, with a NUL behind it */
    size_t room; /**< bytes of text; 1 at least */
    size_t len;  /**< of what is in text */
    int cut;     /**< it was longer than that */
} remote_json_t;

/** Is this the next character but for blanks? Then go behind it. */
int remote__json_mark(remote_json_t *in, char c);
/** The next is a string, in UTF-8; 0: it is none, or has the byte 0. */
int remote__json_string(remote_json_t *in);
/** A string, a number, true, false or null; 0: anything else. */
int remote__json_value(remote_json_t *in);

#endif
