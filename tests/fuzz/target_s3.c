/*
 * target_s3.c - what servers of S3 and lenders of keys say: pages of keys, short answers, refusals,
 * keys. Whatever comes, in whatever pieces, the same is found; names are single components, and
 * nothing that goes into a header or a message has lines. The first byte chooses, the second is the
 * size of the pieces. In capitals, lines are keys of a page that is whole around them: most changes
 * of a page make it none, and then nothing of it is read.
 */
#include "backends/s3/s3.h"
#include "tests/fuzz/fuzz.h"

#define LIST(text)                                                                                 \
    "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"  \
    "<EncodingType>url</EncodingType>" text "</ListBucketResult>"
#define KEY(name)                                                                                  \
    "<Contents><Key>" name "</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"           \
    "<ETag>&quot;a&quot;</ETag><Size>434234</Size><StorageClass>GLACIER</StorageClass></Contents>"
#define DIR(name) "<CommonPrefixes><Prefix>" name "</Prefix></CommonPrefixes>"
#define DEEP8 "<a><a><a><a><a><a><a><a>"

const char *const fuzz_seeds[] = {
    "D\x07in/a%20b\nin/\nin/d/\n/in/e/\nin/../\nin//x\nin/%2e%2e/x\nin/%2fx\nin/%00\nin/a",
    "D\x08in/plain\n/in/d+e/\nin/&amp;\nin/%41\nout\n\nin",
    "K\x20in/d/../x\nin/d//x\nin/d/x\nin/d/.\nin/...\nin/.../..a\nin/d/",
    "K\x21in/./x\nin/..\nin/%2e%2e\nin/a%2f%2fb",
    "d\x07" LIST(KEY("in/a%20b") KEY("in/")
                     DIR("in/d/") "<IsTruncated>true</IsTruncated>"
                                  "<NextContinuationToken>x</NextContinuationToken>"),
    "d\x01" LIST(KEY("in/..") KEY("in/../x") KEY("in//x") KEY("in/%2e%2e/%2fx") DIR("in/../")
                     KEY("/etc/passwd") KEY("in/a%00b") KEY("in/%zz")),
    "k\x20" LIST(KEY("in/d/../x") KEY("in/d//x") KEY("in/d/x") KEY("in/d/.") KEY("in/d/...")),
    "d\x40<!DOCTYPE l [<!ENTITY a \"in/ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c "
    "\"&b;&b;&b;\">]>" LIST(KEY("&c;")),
    "d\x10<ListBucketResult>" DEEP8 DEEP8 DEEP8 DEEP8 DEEP8,
    "d\x7f<ListBucketResult><Contents><Key>in/&#0;&#x41;&#10;</Key></Contents></ListBucketResult>",
    "r\x03 \n<CompleteMultipartUploadResult><ETag>&quot;a-2&quot;</ETag>"
    "</CompleteMultipartUploadResult>",
    "r\x05<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
    "e\x01<Error><Code>NoSuchKey</Code><Message>a&#10;b</Message><Region>x</Region></Error>",
    "j\x01{\"Code\":\"Success\",\"AccessKeyId\":\"K\",\"SecretAccessKey\":\"S\",\"Token\":"
    "\"T\\u00e4\","
    "\"Expiration\":\"2030-01-01T00:00:00Z\",\"n\":null}",
    "j\x01{\"AccessKeyId\":\"K\\r\\nx: y\",\"SecretAccessKey\":[[[[[[[[[[[[[[[[{\"a\":{}}",
    "x\x01<R><Credentials><SessionToken>T</SessionToken><SecretAccessKey>S</SecretAccessKey>"
    "<Expiration>2030-01-01T00:00:00Z</Expiration><AccessKeyId>K</AccessKeyId></Credentials></R>",
    NULL};
const char *const fuzz_pieces[] = {"<Contents>",
                                   "</Contents>",
                                   "<Key>in/",
                                   "</Key>",
                                   "<CommonPrefixes><Prefix>",
                                   "</Prefix></CommonPrefixes>",
                                   "<EncodingType>url</EncodingType>",
                                   "<EncodingType>none</EncodingType>",
                                   "<ETag>",
                                   "<Size>99999999999999999999",
                                   "%2F",
                                   "%2e%2E",
                                   "%00",
                                   "/../",
                                   "//",
                                   "&amp;",
                                   "&#0;",
                                   "&#x10ffff;",
                                   "<![CDATA[",
                                   "]]>",
                                   "<!ENTITY",
                                   "\\u0000",
                                   "\\ud800",
                                   "\",\"Token\":\"",
                                   NULL};

/* ---- keys of all depths */

typedef struct keys_t {
    unsigned count, with_path;
} keys_t;

static apr_status_t take(void *baton, const s3_item_t *item)
{
    keys_t *keys = baton;
    keys->count++;
    FUZZ_CHECK(item->key != NULL && item->etag != NULL && item->class != NULL);
    if (!s3__has_path(item->key)) return APR_SUCCESS;
    keys->with_path++;
    char *path = malloc(strlen(item->key) + 3);
    FUZZ_CHECK(path != NULL);
    (void)sprintf(path, "/%s/", item->key);
    size_t len = strlen(path);
    if (len > 1 && path[len - 2] == '/') path[len - 1] = '\0'; /* a marker */
    FUZZ_CHECK(strstr(path, "//") == NULL && strstr(path, "/./") == NULL);
    FUZZ_CHECK(strstr(path, "/../") == NULL);
    free(path);
    return APR_SUCCESS;
}

static void read_keys(const char *text, size_t len, size_t piece)
{
    keys_t whole = {0, 0}, pieces = {0, 0};
    const s3_lister_t one = {.take = take, .deep = 1, .baton = &whole};
    const s3_lister_t other = {.take = take, .deep = 1, .baton = &pieces};
    apr_status_t status = s3__list_text(&one, "in/", text, len, len);
    FUZZ_CHECK(status == APR_SUCCESS || status == VFS_EFORMAT || status == VFS_ELIMIT);
    FUZZ_CHECK(s3__list_text(&other, "in/", text, len, piece) == status);
    if (status != APR_SUCCESS) return;
    FUZZ_CHECK(whole.count == pieces.count && whole.with_path == pieces.with_path);
}

/* ---- names of a directory */

static void read_dir(const char *text, size_t len, size_t piece)
{
    remote_names_t whole = {.count = 0}, pieces = {.count = 0};
    apr_status_t status = s3__load_text(&whole, "in/", text, len, len);
    FUZZ_CHECK(status == APR_SUCCESS || status == VFS_EFORMAT || status == VFS_ELIMIT);
    FUZZ_CHECK(s3__load_text(&pieces, "in/", text, len, piece) == status);
    FUZZ_CHECK(status != APR_SUCCESS || whole.count == pieces.count);
    remote__names_settle(&whole);
    for (size_t i = 0; i < whole.count; i++) {
        const char *name = whole.entries[i].name;
        FUZZ_CHECK(name[0] != '\0' && strlen(name) <= VFS_NAME_MAX && strchr(name, '/') == NULL);
        FUZZ_CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
        FUZZ_CHECK(i == 0 || strcmp(whole.entries[i - 1].name, name) < 0);
    }
    remote__names_free(&whole);
    remote__names_free(&pieces);
}

/* ---- short answers */

static void read_result(const char *text, size_t len, size_t piece)
{
    static s3_result_t whole, pieces;
    apr_status_t status = s3__result_text(&whole, text, len, len);
    FUZZ_CHECK(status == APR_SUCCESS || status == VFS_EFORMAT || status == VFS_ELIMIT);
    FUZZ_CHECK(s3__result_text(&pieces, text, len, piece) == status);
    if (status != APR_SUCCESS) return;
    FUZZ_CHECK(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    FUZZ_CHECK(strlen(whole.etag) < sizeof(whole.etag) &&
               strlen(whole.upload) < sizeof(whole.upload));
    FUZZ_CHECK(strpbrk(whole.etag, "\r\n") == NULL);
}

static void check_line(const char *text, size_t size)
{
    FUZZ_CHECK(strlen(text) < size);
    for (; *text != '\0'; text++)
        FUZZ_CHECK((unsigned char)*text >= ' ');
}

static void read_error(const char *text, size_t len)
{
    s3_error_t error;
    s3__parse_error(&error, text, len);
    check_line(error.code, sizeof(error.code));
    check_line(error.message, sizeof(error.message));
    check_line(error.region, sizeof(error.region));
}

static void read_key(const char *text, size_t len, int json)
{
    static s3_creds_t creds;
    char code[64] = "";
    apr_status_t status =
        json ? s3__lent_json(&creds, code, text, len) : s3__lent_xml(&creds, text, len);
    FUZZ_CHECK(status == APR_SUCCESS || status == VFS_EFORMAT || status == VFS_ELIMIT);
    FUZZ_CHECK(strlen(code) < sizeof(code) && strpbrk(code, "\r\n") == NULL);
    if (status != APR_SUCCESS) return;
    FUZZ_CHECK(creds.id[0] != '\0' && creds.secret[0] != '\0' && creds.expires_us >= 0);
    FUZZ_CHECK(strpbrk(creds.id, "\r\n") == NULL && strpbrk(creds.token, "\r\n") == NULL);
}

/* A byte as XML can say it. */
static void put_byte(FILE *out, unsigned char c)
{
    static const char special[] = "<>&";
    static const char *const entities[] = {"&lt;", "&gt;", "&amp;"};
    const char *found = c != '\0' ? strchr(special, c) : NULL;
    if (found != NULL)
        (void)fputs(entities[found - special], out);
    else if (c < ' ' || c > '~')
        (void)fprintf(out, "%%%02X", c);
    else
        (void)fputc(c, out);
}

/* Each line is a key; one that begins with '/' is what keys have in common. */
static char *page_of(const char *lines, size_t len, int encoded, size_t *out)
{
    char *text = NULL;
    FILE *page = open_memstream(&text, out);
    FUZZ_CHECK(page != NULL);
    (void)fprintf(page, "<ListBucketResult>%s", encoded ? "<EncodingType>url</EncodingType>" : "");
    for (size_t at = 0; at < len;) {
        const char *end = memchr(lines + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - lines) - at : len - at;
        int dir = n > 0 && lines[at] == '/';
        (void)fputs(dir ? "<CommonPrefixes><Prefix>" : "<Contents><Key>", page);
        for (size_t i = at + (size_t)dir; i < at + n; i++)
            put_byte(page, (unsigned char)lines[i]);
        (void)fputs(dir ? "</Prefix></CommonPrefixes>" : "</Key><Size>1</Size></Contents>", page);
        at += n + 1;
    }
    (void)fputs("</ListBucketResult>", page);
    FUZZ_CHECK(fclose(page) == 0);
    return text;
}

static void read_page(const uint8_t *data, size_t size)
{
    size_t len = 0;
    char *text = page_of((const char *)data + 2, size - 2, data[1] & 1, &len);
    if (data[0] == 'K')
        read_keys(text, len, (size_t)data[1] + 1);
    else
        read_dir(text, len, (size_t)data[1] + 1);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) return 0;
    size_t len = size - 2, piece = (size_t)data[1] + 1;
    char *text = malloc(len); /* of just that size: what is read behind it is found */
    FUZZ_CHECK(text != NULL);
    memcpy(text, data + 2, len);
    switch (data[0]) {
    case 'D':
    case 'K':
        read_page(data, size);
        break;
    case 'k':
        read_keys(text, len, piece);
        break;
    case 'r':
        read_result(text, len, piece);
        break;
    case 'e':
        read_error(text, len);
        break;
    case 'j':
    case 'x':
        read_key(text, len, data[0] == 'j');
        break;
    default:
        read_dir(text, len, piece);
    }
    free(text);
    return 0;
}
