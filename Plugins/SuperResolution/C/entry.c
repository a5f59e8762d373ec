#include "codi_plugin.h"
CODI_PLUGIN("super-resolution", "1.0.0", 40)
