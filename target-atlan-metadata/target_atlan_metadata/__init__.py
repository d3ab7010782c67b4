"""Singer target: folds micro-decisions into activity figures, lineage and quality scores on the assets in Atlan."""
