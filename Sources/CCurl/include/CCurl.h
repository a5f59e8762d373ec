/* Plain functions over libcurl: no libcurl type, no variadic call, one exchange per call.
   A session keeps connections open between exchanges; one thread may use it at a time. Nothing is retried, no
   redirect is followed, no cookie is kept and no compression is asked for: the caller decides about all of that. */
#ifndef CCURL_H
#define CCURL_H

#include <stddef.h>
#include <stdint.h>

typedef struct cc_session cc_session;

typedef enum __attribute__((enum_extensibility(closed))) cc_outcome : int32_t {
  cc_outcome_complete,    /* a whole answer, of any status */
  cc_outcome_stopped,     /* a callback asked for it */
  cc_outcome_timeout,     /* no connection in time, or too few bytes for too long */
  cc_outcome_unreachable, /* the host has no address, or nobody answers there */
  cc_outcome_untrusted,   /* the host's certificate is not accepted */
  cc_outcome_no_authority, /* `ca_file` or `ca_folder` cannot be read */
  cc_outcome_broken,      /* the connection ended before the answer did */
  cc_outcome_failed       /* anything else: a malformed address or answer, memory */
} cc_outcome;

typedef struct cc_request {
  const char *method; /* GET, HEAD, POST, PUT, PATCH */
  const char *url;    /* http or https */
  const char *const *headers; /* "Name: value", `header_count` of them */
  size_t header_count;
  const void *body; /* null for none; stays the caller's */
  size_t body_length;
  int32_t has_body;        /* an empty body is sent as one */
  int32_t direct;          /* no proxy, whatever the environment says */
  const char *ca_file;     /* certificates in PEM that may vouch for the host, instead of the system's; null for those */
  const char *ca_folder;   /* the same, in a folder that `c_rehash` made */
  int32_t connect_seconds; /* for the connection */
  int32_t stall_seconds;   /* how long fewer than 1024 bytes a second may arrive */
  void *context;           /* for the callbacks; all run on the calling thread; not 0 stops the exchange */
  int32_t (*header)(void *context, const void *line, size_t length); /* one line, its end included */
  int32_t (*data)(void *context, const void *bytes, size_t length);
  int32_t (*poll)(void *context); /* about once a second, and more often while bytes move */
} cc_request;

/* Null when there is no memory. */
cc_session *cc_open(void);
void cc_close(cc_session *session);

/* One exchange. `message` receives a short zero-terminated text when it is not complete. */
cc_outcome cc_perform(cc_session *session, const cc_request *request, char *message, size_t capacity);

#endif
