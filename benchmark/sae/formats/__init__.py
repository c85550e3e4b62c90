"""SAEs in the files of others: SAELens, EleutherAI's sparsify, and the paper's authors; each read into a `TopKSAE`.

What a `TopKSAE` cannot compute exactly is refused in one sentence that names the field. No file runs code.
"""
