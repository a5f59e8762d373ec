#include "codi_plugin.h"
CODI_PLUGIN("@NAME@", "0.1.0", 0)
