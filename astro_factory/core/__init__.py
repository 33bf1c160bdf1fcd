"""What every other room shares: errors, configuration, artifact types, seeds. Imports nothing of ours."""
