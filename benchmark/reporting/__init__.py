"""Reports of finished comparisons: what they show, and how it looks in HTML, Markdown and LaTeX."""
