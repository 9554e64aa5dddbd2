"""The calls that fastgan offers to Python, one file each: `import fastgan` has them by their names."""
