"""From a photo of any kind to the square crop of a face: numpy, pillow and OpenCV alone."""
