/* SwiftPM wants a public header; the one that counts is codi_plugin.h. */
