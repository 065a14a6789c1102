/* A translation unit for a room that has no file of its own in this configuration. */
extern int cachefs__room_without_files;
