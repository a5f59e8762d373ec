/* The leading part is a promise to every plugin ever built: this file fails to compile when it moves. */
#include "codi_plugin.h"

_Static_assert(offsetof(codi_plugin_head, abi_version) == 8, "leading part moved");
_Static_assert(offsetof(codi_plugin_head, struct_size) == 12, "leading part moved");
_Static_assert(offsetof(codi_plugin_head, name) == 16, "leading part moved");
_Static_assert(offsetof(codi_plugin_head, version) == 80, "leading part moved");
_Static_assert(sizeof(codi_plugin_head) == 112, "leading part moved");
_Static_assert(offsetof(codi_plugin_descriptor, create) == 120, "version 1 of the descriptor moved");
_Static_assert(sizeof(codi_plugin_descriptor) == 168, "version 1 of the descriptor moved");
_Static_assert(sizeof(codi_view) == 48 && sizeof(codi_batch) == 24, "version 1 of a view moved");
