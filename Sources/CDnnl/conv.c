#include "cdnnl.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All that differs between oneDNN 2.x and 3.x: descriptors were plain structs and became handles. */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t md_own;
typedef const_dnnl_memory_desc_t md_ref;
#define MD(x) (x)
#define MD_FREE(x) dnnl_memory_desc_destroy(x)
static dnnl_status_t md_init(md_own *md, int n, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_create_with_tag(md, n, dims, type, tag);
}
#else
typedef dnnl_memory_desc_t md_own;
typedef const dnnl_memory_desc_t *md_ref;
#define MD(x) (&(x))
#define MD_FREE(x) ((void)(x))
static dnnl_status_t md_init(md_own *md, int n, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_init_by_tag(md, n, dims, type, tag);
}
#endif

struct cd_conv {
  dnnl_primitive_t primitive;
  dnnl_primitive_t to_packed, to_plain; /* reorders; to_plain only for CD_BACKWARD_WEIGHTS */
  md_own source, destination, packed, plain, bias;
  md_own workspace, reorder_workspace;
  size_t packed_bytes, workspace_bytes;
  cd_part part;
  int has_bias, residual;
  char implementation[64];
};

static dnnl_engine_t engine(void) {
  static dnnl_engine_t shared;
  static int made;
  dnnl_engine_t e = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
  if (e) return e;
  if (!__atomic_exchange_n(&made, 1, __ATOMIC_ACQ_REL)) {
    if (dnnl_engine_create(&e, dnnl_cpu, 0) != dnnl_success) {
      __atomic_store_n(&made, 0, __ATOMIC_RELEASE);
      return NULL;
    }
    __atomic_store_n(&shared, e, __ATOMIC_RELEASE);
    return e;
  }
  while (!(e = __atomic_load_n(&shared, __ATOMIC_ACQUIRE)) && __atomic_load_n(&made, __ATOMIC_ACQUIRE)) {}
  return e;
}

/* A CPU stream is a queue without state of its own; one per thread keeps callers apart. */
static dnnl_stream_t stream(void) {
  static _Thread_local dnnl_stream_t mine;
  if (!mine && dnnl_stream_create(&mine, engine(), dnnl_stream_default_flags) != dnnl_success) return NULL;
  return mine;
}

static int status(dnnl_status_t s) {
  switch (s) {
    case dnnl_success: return CD_OK;
    case dnnl_out_of_memory: return CD_NO_MEMORY;
    case dnnl_invalid_arguments: return CD_INVALID;
    case dnnl_unimplemented: return CD_UNIMPLEMENTED;
    default: return CD_RUNTIME;
  }
}

#define TRY(call)                        \
  do {                                   \
    dnnl_status_t s_ = (call);           \
    if (s_ != dnnl_success) {            \
      result = status(s_);               \
      goto done;                         \
    }                                    \
  } while (0)

static dnnl_status_t keep(md_own *copy, md_ref md) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_clone(copy, md);
#else
  if (!md) return dnnl_invalid_arguments;
  *copy = *md;
  return dnnl_success;
#endif
}

/* Keeps the layout of the scratchpad that a primitive asks its caller for. */
static dnnl_status_t keep_workspace(cd_conv *c, md_own *copy, dnnl_primitive_desc_t pd) {
  dnnl_status_t s = keep(copy, dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
  if (s != dnnl_success) return s;
  const size_t bytes = dnnl_memory_desc_get_size(MD(*copy));
  if (bytes > c->workspace_bytes) c->workspace_bytes = bytes;
  return s;
}

static dnnl_status_t reorder(cd_conv *c, dnnl_primitive_t *out, md_ref from, md_ref to, dnnl_primitive_attr_t attr) {
  dnnl_primitive_desc_t pd = NULL;
  dnnl_status_t s = dnnl_reorder_primitive_desc_create(&pd, from, engine(), to, engine(), attr);
  if (s == dnnl_success) s = keep_workspace(c, &c->reorder_workspace, pd);
  if (s == dnnl_success) s = dnnl_primitive_create(out, pd);
  if (pd) dnnl_primitive_desc_destroy(pd);
  return s;
}

int cd_conv_create(cd_conv **out, const cd_conv_shape *p, cd_type type, cd_part part, int has_bias, int residual) {
  int result = CD_OK;
  *out = NULL;
  if (!engine()) return CD_RUNTIME;
  cd_conv *c = calloc(1, sizeof *c);
  if (!c) return CD_NO_MEMORY;
  c->part = part;
  c->has_bias = has_bias;
  c->residual = residual && part == CD_FORWARD;

  const int g = p->groups > 1;
  const int64_t oh = (p->height + p->pad_low + p->pad_high - p->kernel) / p->stride + 1;
  const int64_t ow = (p->width + p->pad_low + p->pad_high - p->kernel) / p->stride + 1;
  const dnnl_dims_t source = {p->batch, p->in_channels, p->height, p->width};
  const dnnl_dims_t destination = {p->batch, p->out_channels, oh, ow};
  const dnnl_dims_t plain = {p->out_channels, p->in_channels, p->kernel, p->kernel};
  const dnnl_dims_t grouped = {p->groups, p->out_channels / (g ? p->groups : 1), p->in_channels / (g ? p->groups : 1),
                               p->kernel, p->kernel};
  const dnnl_dims_t bias = {p->out_channels}, strides = {p->stride, p->stride};
  const dnnl_dims_t low = {p->pad_low, p->pad_low}, high = {p->pad_high, p->pad_high};
  const dnnl_data_type_t dt = type == CD_BF16 ? dnnl_bf16 : dnnl_f32;

  dnnl_primitive_attr_t attr = NULL, plain_attr = NULL;
  dnnl_post_ops_t post = NULL;
  dnnl_primitive_desc_t pd = NULL, hint = NULL;
  md_own any;
  memset(&any, 0, sizeof any);
  TRY(md_init(&c->source, 4, source, dt, dnnl_nhwc));
  TRY(md_init(&c->destination, 4, destination, dt, dnnl_nhwc));
  TRY(md_init(&c->plain, g ? 5 : 4, g ? grouped : plain, dnnl_f32, g ? dnnl_goihw : dnnl_oihw));
  TRY(md_init(&any, g ? 5 : 4, g ? grouped : plain, dt, dnnl_format_tag_any));
  TRY(md_init(&c->bias, 1, bias, dnnl_f32, dnnl_a));
  TRY(dnnl_primitive_attr_create(&plain_attr));
  TRY(dnnl_primitive_attr_set_scratchpad_mode(plain_attr, dnnl_scratchpad_mode_user));
  TRY(dnnl_primitive_attr_create(&attr));
  TRY(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
  if (c->residual) {
    TRY(dnnl_post_ops_create(&post));
    TRY(dnnl_post_ops_append_binary(post, dnnl_binary_add, MD(c->destination)));
    TRY(dnnl_primitive_attr_set_post_ops(attr, post));
  }
  md_ref bias_md = has_bias ? MD(c->bias) : NULL;
#if DNNL_VERSION_MAJOR >= 3
  const dnnl_dims_t dense = {0, 0};
  TRY(dnnl_convolution_forward_primitive_desc_create(
      part == CD_FORWARD ? &pd : &hint, engine(), part == CD_FORWARD ? dnnl_forward_inference : dnnl_forward_training,
      dnnl_convolution_direct, c->source, any, bias_md, c->destination, strides, dense, low, high, attr));
  if (part == CD_BACKWARD_DATA)
    TRY(dnnl_convolution_backward_data_primitive_desc_create(&pd, engine(), dnnl_convolution_direct, c->source, any,
                                                             c->destination, strides, dense, low, high, hint, plain_attr));
  if (part == CD_BACKWARD_WEIGHTS)
    TRY(dnnl_convolution_backward_weights_primitive_desc_create(&pd, engine(), dnnl_convolution_direct, c->source, any,
                                                                bias_md, c->destination, strides, dense, low, high, hint,
                                                                plain_attr));
#else
  dnnl_convolution_desc_t d;
  TRY(dnnl_convolution_forward_desc_init(&d, part == CD_FORWARD ? dnnl_forward_inference : dnnl_forward_training,
                                         dnnl_convolution_direct, MD(c->source), &any, bias_md, MD(c->destination), strides,
                                         low, high));
  TRY(dnnl_primitive_desc_create(part == CD_FORWARD ? &pd : &hint, &d, attr, engine(), NULL));
  if (part == CD_BACKWARD_DATA) {
    TRY(dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, MD(c->source), &any, MD(c->destination),
                                                 strides, low, high));
    TRY(dnnl_primitive_desc_create(&pd, &d, plain_attr, engine(), hint));
  }
  if (part == CD_BACKWARD_WEIGHTS) {
    TRY(dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, MD(c->source), &any, bias_md,
                                                    MD(c->destination), strides, low, high));
    TRY(dnnl_primitive_desc_create(&pd, &d, plain_attr, engine(), hint));
  }
#endif
  dnnl_query_t which = part == CD_BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
  TRY(keep(&c->packed, dnnl_primitive_desc_query_md(pd, which, 0)));
  c->packed_bytes = dnnl_memory_desc_get_size(MD(c->packed));
  const char *name = NULL;
  dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
  snprintf(c->implementation, sizeof c->implementation, "%s", name ? name : "unknown");
  TRY(keep_workspace(c, &c->workspace, pd));
  TRY(dnnl_primitive_create(&c->primitive, pd));
  if (part == CD_BACKWARD_WEIGHTS)
    TRY(reorder(c, &c->to_plain, MD(c->packed), MD(c->plain), plain_attr));
  else
    TRY(reorder(c, &c->to_packed, MD(c->plain), MD(c->packed), plain_attr));
  *out = c;
done:
  MD_FREE(any);
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (hint) dnnl_primitive_desc_destroy(hint);
  if (post) dnnl_post_ops_destroy(post);
  if (attr) dnnl_primitive_attr_destroy(attr);
  if (plain_attr) dnnl_primitive_attr_destroy(plain_attr);
  if (result != CD_OK) cd_conv_destroy(c);
  return result;
}

void cd_conv_destroy(cd_conv *c) {
  if (!c) return;
  if (c->primitive) dnnl_primitive_destroy(c->primitive);
  if (c->to_packed) dnnl_primitive_destroy(c->to_packed);
  if (c->to_plain) dnnl_primitive_destroy(c->to_plain);
  MD_FREE(c->source);
  MD_FREE(c->destination);
  MD_FREE(c->packed);
  MD_FREE(c->plain);
  MD_FREE(c->bias);
  MD_FREE(c->workspace);
  MD_FREE(c->reorder_workspace);
  free(c);
}

const char *cd_conv_implementation(const cd_conv *c) { return c->implementation; }
size_t cd_conv_packed_bytes(const cd_conv *c) { return c->packed_bytes; }

size_t cd_conv_workspace_bytes(const cd_conv *c) { return c->workspace_bytes; }

int cd_conv_same_packing(const cd_conv *a, const cd_conv *b) {
  return dnnl_memory_desc_equal(MD(a->packed), MD(b->packed)) != 0;
}

/* One argument of a primitive: which, where its bytes lie, and their layout. */
typedef struct argument {
  int index;
  md_ref layout;
  const void *bytes;
} argument;

static int run(dnnl_primitive_t primitive, const argument *arguments, int count) {
  int result = CD_OK;
  dnnl_exec_arg_t args[8];
  int made = 0;
  dnnl_stream_t s = stream();
  if (!s) return CD_RUNTIME;
  for (; made < count; made++) {
    args[made].arg = arguments[made].index;
    TRY(dnnl_memory_create(&args[made].memory, arguments[made].layout, engine(), (void *)arguments[made].bytes));
  }
  TRY(dnnl_primitive_execute(primitive, s, count, args));
  TRY(dnnl_stream_wait(s));
done:
  while (made-- > 0) dnnl_memory_destroy(args[made].memory);
  return result;
}

int cd_conv_pack(const cd_conv *c, const float *plain, void *packed, void *workspace) {
  if (!c->to_packed) return CD_INVALID;
  const argument a[] = {{DNNL_ARG_FROM, MD(c->plain), plain},
                        {DNNL_ARG_TO, MD(c->packed), packed},
                        {DNNL_ARG_SCRATCHPAD, MD(c->reorder_workspace), workspace}};
  return run(c->to_packed, a, 3);
}

int cd_conv_forward(const cd_conv *c, const void *source, const void *packed, const float *bias, const void *residual,
                    void *destination, void *workspace) {
  if (c->part != CD_FORWARD || (c->has_bias && !bias) || (c->residual && !residual)) return CD_INVALID;
  argument a[6] = {{DNNL_ARG_SRC, MD(c->source), source},
                   {DNNL_ARG_WEIGHTS, MD(c->packed), packed},
                   {DNNL_ARG_DST, MD(c->destination), destination},
                   {DNNL_ARG_SCRATCHPAD, MD(c->workspace), workspace}};
  int n = 4;
  if (c->has_bias) a[n++] = (argument){DNNL_ARG_BIAS, MD(c->bias), bias};
  if (c->residual)
    a[n++] = (argument){DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, MD(c->destination), residual};
  return run(c->primitive, a, n);
}

int cd_conv_backward_data(const cd_conv *c, const void *diff_destination, const void *packed, void *diff_source,
                          void *workspace) {
  if (c->part != CD_BACKWARD_DATA) return CD_INVALID;
  const argument a[] = {{DNNL_ARG_DIFF_DST, MD(c->destination), diff_destination},
                        {DNNL_ARG_WEIGHTS, MD(c->packed), packed},
                        {DNNL_ARG_DIFF_SRC, MD(c->source), diff_source},
                        {DNNL_ARG_SCRATCHPAD, MD(c->workspace), workspace}};
  return run(c->primitive, a, 4);
}

int cd_conv_backward_weights(const cd_conv *c, const void *source, const void *diff_destination, void *scratch,
                             float *diff_plain, float *diff_bias, void *workspace) {
  if (c->part != CD_BACKWARD_WEIGHTS || (c->has_bias && !diff_bias)) return CD_INVALID;
  argument a[5] = {{DNNL_ARG_SRC, MD(c->source), source},
                   {DNNL_ARG_DIFF_DST, MD(c->destination), diff_destination},
                   {DNNL_ARG_DIFF_WEIGHTS, MD(c->packed), scratch},
                   {DNNL_ARG_SCRATCHPAD, MD(c->workspace), workspace}};
  int n = 4;
  if (c->has_bias) a[n++] = (argument){DNNL_ARG_DIFF_BIAS, MD(c->bias), diff_bias};
  int result = run(c->primitive, a, n);
  if (result != CD_OK) return result;
  const argument back[] = {{DNNL_ARG_FROM, MD(c->packed), scratch},
                           {DNNL_ARG_TO, MD(c->plain), diff_plain},
                           {DNNL_ARG_SCRATCHPAD, MD(c->reorder_workspace), workspace}};
  return run(c->to_plain, back, 3);
}

int32_t cd_has_bf16(void) {
  const int isa = (int)dnnl_get_effective_cpu_isa();
  return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

const char *cd_version(void) {
  static char text[32];
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
  return text;
}

const char *cd_status_text(int s) {
  switch (s) {
    case CD_OK: return "no error";
    case CD_NO_MEMORY: return "out of memory";
    case CD_INVALID: return "invalid arguments";
    case CD_UNIMPLEMENTED: return "not implemented for this shape or CPU";
    default: return "runtime error";
  }
}
