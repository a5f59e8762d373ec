#include "CCurl.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cc_session {
  CURL *curl;
};

static pthread_once_t started = PTHREAD_ONCE_INIT;
static CURLcode start_status;
static void start(void) { start_status = curl_global_init(CURL_GLOBAL_DEFAULT); }

cc_session *cc_open(void) {
  pthread_once(&started, start);
  if (start_status != CURLE_OK) return NULL;
  cc_session *session = malloc(sizeof *session);
  if (!session) return NULL;
  session->curl = curl_easy_init();
  if (!session->curl) {
    free(session);
    return NULL;
  }
  return session;
}

void cc_close(cc_session *session) {
  if (!session) return;
  curl_easy_cleanup(session->curl);
  free(session);
}

/* Fewer bytes taken than offered is how libcurl is told to stop. */
static size_t on_header(char *line, size_t size, size_t count, void *context) {
  const cc_request *request = context;
  return request->header(request->context, line, size * count) == 0 ? size * count : 0;
}

static size_t on_data(char *bytes, size_t size, size_t count, void *context) {
  const cc_request *request = context;
  if (size * count == 0) return 0;
  return request->data(request->context, bytes, size * count) == 0 ? size * count : 0;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
  const cc_request *request = context;
  (void)a, (void)b, (void)c, (void)d;
  return request->poll(request->context);
}

static cc_outcome outcome(CURLcode code) {
  switch (code) {
    case CURLE_OK: return cc_outcome_complete;
    case CURLE_WRITE_ERROR:
    case CURLE_ABORTED_BY_CALLBACK: return cc_outcome_stopped;
    case CURLE_OPERATION_TIMEDOUT: return cc_outcome_timeout;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return cc_outcome_unreachable;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR: return cc_outcome_untrusted;
    case CURLE_SSL_CACERT_BADFILE: return cc_outcome_no_authority;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return cc_outcome_broken;
    default: return cc_outcome_failed;
  }
}

#define SET(option, value) \
  do { \
    if (code == CURLE_OK) code = curl_easy_setopt(curl, option, value); \
  } while (0)

cc_outcome cc_perform(cc_session *session, const cc_request *request, char *message, size_t capacity) {
  CURL *curl = session->curl;
  char reason[CURL_ERROR_SIZE] = "";
  struct curl_slist *headers = NULL;
  CURLcode code = CURLE_OK;

  curl_easy_reset(curl); /* connections stay */
  for (size_t i = 0; i < request->header_count && code == CURLE_OK; i++) {
    struct curl_slist *longer = curl_slist_append(headers, request->headers[i]);
    if (!longer) code = CURLE_OUT_OF_MEMORY;
    else headers = longer;
  }
  SET(CURLOPT_ERRORBUFFER, reason);
  SET(CURLOPT_URL, request->url);
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_HTTPHEADER, headers);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_BUFFERSIZE, 256L << 10);
  SET(CURLOPT_CONNECTTIMEOUT, (long)request->connect_seconds);
  SET(CURLOPT_LOW_SPEED_LIMIT, 1024L);
  SET(CURLOPT_LOW_SPEED_TIME, (long)request->stall_seconds);
  if (request->direct) SET(CURLOPT_PROXY, "");
  /* Peer and host are verified by default, and nothing here changes that. */
  if (request->ca_file || request->ca_folder) {
    SET(CURLOPT_CAINFO, request->ca_file);
    SET(CURLOPT_CAPATH, request->ca_folder);
  }
  if (request->has_body) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
    SET(CURLOPT_POSTFIELDS, request->body ? (const char *)request->body : "");
  }
  if (strcmp(request->method, "HEAD") == 0) SET(CURLOPT_NOBODY, 1L);
  else SET(CURLOPT_CUSTOMREQUEST, request->method);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, request);
  SET(CURLOPT_WRITEFUNCTION, on_data);
  SET(CURLOPT_WRITEDATA, request);
  SET(CURLOPT_XFERINFOFUNCTION, on_progress);
  SET(CURLOPT_XFERINFODATA, request);
  SET(CURLOPT_NOPROGRESS, 0L);
  if (code == CURLE_OK) code = curl_easy_perform(curl);
  curl_slist_free_all(headers);
  if (capacity > 0) snprintf(message, capacity, "%s", reason[0] ? reason : curl_easy_strerror(code));
  return outcome(code);
}
