"""Pictures of graphs: drawings, explanations, and pages to step through."""
