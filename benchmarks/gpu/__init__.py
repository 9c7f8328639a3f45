"""What a GPU makes of the model: `python -m benchmarks.gpu`, in one call, on the GPU machine.

It makes emotion2vec+ large with seeded random weights, builds each form of it that the machine has
libraries for, compares it with fp32, times it, and writes one JSON file. What can't run there is
reported as missing, with the reason. `--device cpu --size tiny` runs the same on a CPU, to see that
it works. The server on a GPU, and its peers there: `python -m benchmarks --card`.

It needs torch, onnx, onnxscript, numpy, and what our distributions import. Those may come by path:
`PYTHONPATH=protos:runtime:server:export:clients/python`.
"""
