/*
 * support_multi.h - answers of a WebDAV server, for a scripted one. Floor 4: test support.
 */
#ifndef TESTS_REMOTE_SUPPORT_MULTI_H
#define TESTS_REMOTE_SUPPORT_MULTI_H

#define MULTI                                                                                      \
    "HTTP/1.1 207 Multi\r\nContent-Type: application/xml\r\nConnection: close\r\n"                 \
    "Transfer-Encoding: chunked\r\n\r\n"
#define XML "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">"
#define ONE(href, props)                                                                           \
    "<D:response><D:href>" href "</D:href><D:propstat><D:prop>" props                              \
    "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
#define DIR "<D:resourcetype><D:collection/></D:resourcetype>"
#define FILE7                                                                                      \
    "<D:resourcetype/><D:getcontentlength>7</D:getcontentlength>"                                  \
    "<D:getetag>\"one\"</D:getetag>"
#define END "</D:multistatus>"
#define LAST                                                                                       \
    {                                                                                              \
        NULL, NULL, 0, 0, NULL, 0                                                                  \
    }
#define SAYS(match, text)                                                                          \
    {                                                                                              \
        match, text, REPLY_CLOSE, 0, NULL, 0                                                       \
    }
#define EMPTY(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"

#endif
