/* Convolutions and products over oneDNN 2.x and 3.x, without a oneDNN type in sight.
 *
 * Every function returns CD_OK or a status; cd_status_text() puts it in words. A cd_conv is immutable once made and may be
 * used from any thread; buffers belong to the caller. Activations are NHWC, weights OIHW float32 ("plain") or packed. */
#ifndef CDNNL_H
#define CDNNL_H
#include <stddef.h>
#include <stdint.h>

typedef enum __attribute__((enum_extensibility(closed))) cd_type : int32_t { CD_F32 = 0, CD_BF16 = 1 } cd_type;
typedef enum __attribute__((enum_extensibility(closed))) cd_part : int32_t {
  CD_FORWARD = 0, CD_BACKWARD_DATA = 1, CD_BACKWARD_WEIGHTS = 2
} cd_part;

enum { CD_OK = 0, CD_NO_MEMORY = 1, CD_INVALID = 2, CD_UNIMPLEMENTED = 3, CD_RUNTIME = 4 };

/* One convolution problem. Output height is (height + pad_low + pad_high - kernel) / stride + 1, likewise the width. */
typedef struct cd_conv_shape {
  int32_t batch, height, width, in_channels, out_channels, kernel, stride, pad_low, pad_high, groups;
} cd_conv_shape;

typedef struct cd_conv cd_conv;

/* Prepares one part of a convolution. `residual` (forward only): the output also adds a tensor of its own shape. */
int cd_conv_create(cd_conv **out, const cd_conv_shape *shape, cd_type type, cd_part part, int has_bias, int residual);
void cd_conv_destroy(cd_conv *conv);
/* Name of the implementation that oneDNN chose, for traces. */
const char *cd_conv_implementation(const cd_conv *conv);
/* Bytes of the weights in the layout this part wants (for CD_BACKWARD_WEIGHTS: of the gradient it writes). */
size_t cd_conv_packed_bytes(const cd_conv *conv);
/* Bytes of the `workspace` that every call below needs, aligned to 64; its contents mean nothing between calls. (Left to
 * itself oneDNN keeps one per thread, sized by the thread that made the primitive.) */
size_t cd_conv_workspace_bytes(const cd_conv *conv);
/* 1 when weights packed for one serve the other as they are. */
int cd_conv_same_packing(const cd_conv *a, const cd_conv *b);
/* Plain float32 OIHW weights into this part's layout and type. */
int cd_conv_pack(const cd_conv *conv, const float *plain, void *packed, void *workspace);
/* destination = source * weights + bias (+ residual). bias is float32; bias and residual may be NULL where not asked for. */
int cd_conv_forward(const cd_conv *conv, const void *source, const void *packed, const float *bias, const void *residual,
                    void *destination, void *workspace);
int cd_conv_backward_data(const cd_conv *conv, const void *diff_destination, const void *packed, void *diff_source,
                          void *workspace);
/* Gradients of weights (OIHW) and bias, both float32 and overwritten. `scratch` has cd_conv_packed_bytes() bytes. */
int cd_conv_backward_weights(const cd_conv *conv, const void *source, const void *diff_destination, void *scratch,
                             float *diff_plain, float *diff_bias, void *workspace);

/* "2.6.3" or the like: part of a numerics profile. */
const char *cd_version(void);
const char *cd_status_text(int status);
/* 1 when oneDNN may use the CPU's bfloat16 instructions; ONEDNN_MAX_CPU_ISA can forbid it. */
int32_t cd_has_bf16(void);
#endif
