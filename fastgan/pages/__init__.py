"""What every HTML page is made with: the document that frames it, its style, and curves as SVG."""
