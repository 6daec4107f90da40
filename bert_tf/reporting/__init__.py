"""Pages that show what an evaluation found: plain data in, one HTML file out; knows no task."""
