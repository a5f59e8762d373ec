#include "codi_plugin.h"
CODI_PLUGIN("inpainting", "1.0.0", 0)
