/*
 * test_sign.c - hashes and signatures by published examples: FIPS 180-4, RFC 4231, RFC 1321, and
 * "Examples: Signature Calculations" in the API reference of Amazon S3.
 */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "backends/s3/hash.h"
#include "backends/s3/s3.h"

static const char *hex(const unsigned char *data, size_t len)
{
    static char text[128];
    s3__hex(text, data, len);
    return text;
}

/* Where the processor has no such instructions, the standards' test is about the plain ones. */
Test(s3_sign, the_hash_by_the_processor_is_the_plain_one)
{
    unsigned char data[64 * 9 + 1];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)((seed = seed * 1664525u + 1013904223u) >> 24);
    for (size_t blocks = 0; blocks <= 9; blocks++) {
        uint32_t plain[8] = {1, 2, 3, 4, 5, 6, 7, 8}, own[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        s3__sha256_blocks(plain, data + 1, blocks);
        if (!s3__sha256_blocks_x86(own, data + 1, blocks)) s3__sha256_blocks(own, data + 1, blocks);
        cr_expect_arr_eq(own, plain, sizeof(plain), "%zu blocks", blocks);
    }
}

Test(s3_sign, hashes_are_those_of_the_standards)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    unsigned char out[S3_SHA256_BYTES], key[131];
    char *million = malloc(1000000), text[64];
    memset(million, 'a', 1000000);
    memset(key, 0xaa, sizeof(key));
    s3__sha256(out, NULL, 0);
    cr_expect_str_eq(hex(out, 32),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    s3__sha256(out, "abc", 3);
    cr_expect_str_eq(hex(out, 32),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    s3__sha256(out, two_blocks, 56);
    cr_expect_str_eq(hex(out, 32),
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    s3__sha256(out, million, 1000000);
    cr_expect_str_eq(hex(out, 32),
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    s3__hmac(out, "Jefe", 4, "what do ya want for nothing?", 28);
    cr_expect_str_eq(hex(out, 32),
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    s3__hmac(out, key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First", 54);
    cr_expect_str_eq(hex(out, 32),
                     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    s3__md5(out, NULL, 0);
    cr_expect_str_eq(hex(out, 16), "d41d8cd98f00b204e9800998ecf8427e");
    s3__md5(out, "message digest", 14);
    cr_expect_str_eq(hex(out, 16), "f96b697d7cb7938d525a2f31aaf161d0");
    s3__md5(out, "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            80);
    cr_expect_str_eq(hex(out, 16), "57edf4a22be3c955ac49da2e2107b67a");
    s3__md5(out, million, 1000000);
    cr_expect_str_eq(hex(out, 16), "7707d6ae4e027c70eea2a935c2296f21");
    s3__base64(text, (const unsigned char *)"foobar", 6);
    cr_expect_str_eq(text, "Zm9vYmFy");
    s3__base64(text, (const unsigned char *)"foob", 4);
    cr_expect_str_eq(text, "Zm9vYg==");
    s3__base64(text, (const unsigned char *)"fooba", 5);
    cr_expect_str_eq(text, "Zm9vYmE=");
    free(million);
}

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST                                                                                       \
    {                                                                                              \
        "host", "examplebucket.s3.amazonaws.com"                                                   \
    }
#define DATE                                                                                       \
    {                                                                                              \
        "x-amz-date", "20130524T000000Z"                                                           \
    }

Test(s3_sign, signatures_are_those_of_the_examples)
{
    static const s3_header_t get[] = {
        HOST, {"range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY}, DATE};
    static const char put_hash[] =
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    static const s3_header_t put[] = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                      HOST,
                                      {"x-amz-content-sha256", put_hash},
                                      DATE,
                                      {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
    static const s3_header_t plain[] = {HOST, {"x-amz-content-sha256", EMPTY}, DATE};
    static const struct {
        const char *method, *path, *query;
        const s3_header_t *headers;
        size_t count;
        const char *payload, *signature;
    } rows[] = {{"GET", "/test.txt", "", get, 4, EMPTY,
                 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
                {"PUT", "/test%24file.text", "", put, 5, put_hash,
                 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
                {"GET", "/", "lifecycle=", plain, 3, EMPTY,
                 "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
                {"GET", "/", "max-keys=2&prefix=J", plain, 3, EMPTY,
                 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}};
    const s3_creds_t creds = {.id = "AKIAIOSFODNN7EXAMPLE",
                              .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const s3_sign_t what = {rows[i].method,     rows[i].path,  rows[i].query,
                                rows[i].headers,    rows[i].count, rows[i].payload,
                                "20130524T000000Z", "us-east-1",   "s3"};
        char *text = s3__sign(&what, &creds);
        cr_assert_not_null(text);
        const char *at = strstr(text, "Signature=");
        cr_expect_str_eq(at + 10, rows[i].signature, "%zu: %s", i, text);
        cr_expect_not_null(strstr(text, "/20130524/us-east-1/s3/aws4_request"));
        cr_expect_null(strstr(text, creds.secret));
        free(text);
    }
}

Test(s3_sign, a_query_is_encoded)
{
    char query[64] = "";
    cr_expect_neq(s3__query_add(query, sizeof(query), "prefix", "a b/\xc3\xa4~"), 0);
    cr_expect_neq(s3__query_add(query, sizeof(query), "z", ""), 0);
    cr_expect_str_eq(query, "prefix=a%20b%2F%C3%A4~&z=");
    cr_expect_eq(s3__query_add(query, 30, "q", "abcdef"), 0, "no room");
}

/* "get-vanilla" of the test suite of AWS for this version of signatures. */
Test(s3_sign, a_request_to_another_service_is_signed_for_that)
{
    static const s3_header_t headers[] = {{"host", "example.amazonaws.com"},
                                          {"x-amz-date", "20150830T123600Z"}};
    static const s3_creds_t creds = {.id = "AKIDEXAMPLE",
                                     .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
    const s3_sign_t what = {.method = "GET",
                            .path = "/",
                            .query = "",
                            .headers = headers,
                            .nheaders = 2,
                            .payload =
                                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                            .date = "20150830T123600Z",
                            .region = "us-east-1",
                            .service = "service"};
    char *text = s3__sign(&what, &creds);
    cr_expect_str_eq(text, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
                           "aws4_request,SignedHeaders=host;x-amz-date,Signature="
                           "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    free(text);
}
