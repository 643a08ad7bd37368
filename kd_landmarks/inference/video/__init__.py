"""Videos and cameras: frames in, annotated videos and tables out. Files need PyAV (`[video]`)."""
