"""The one door of a workspace: what passes between a browser, a notebook and the control plane.

Everything not listed is refused, every byte towards the browser is counted, and a person whose
entitlement is not confirmed in time is cut. It holds no dataset and no database of the product.
"""
