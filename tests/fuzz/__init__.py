"""Seeded mutations of every file that fastgan reads, and what became of each: `make fuzz`."""
