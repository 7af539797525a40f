"""An exported graph with its large products in 8 bits: a question reads a quarter of the weights.

ONNX Runtime takes one step for all the numbers that enter such a product. A few of an encoder's
channels are ten times as large as the others and leave those hardly any steps: cosine 0.994 to the
exact rows of MiniLM. So the largest channels are multiplied apart, in float32, as LLM.int8 does
(Dettmers et al. 2022): cosine 0.9994, and 0.9991 at worst over 364 questions.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from index.query_encoder import CARD, GRAPH, TOKENIZER, WEIGHTS, QueryEncoder, options, session
from ingest.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_APART = 8  # channels multiplied apart, where any are
_WORTH = 0.6  # ... which is where the others then span less than this share of what all span
_SMALLEST = 64  # a matrix with a shorter side is left alone: it takes no time
_TABLE = 1_000_000  # numbers of a table worth halving
_FLOAT = 1  # ONNX's number for float32
_RUNTIME = "com.microsoft"  # the domain of ONNX Runtime's own operators
_ORDINARY = (  # each mark and script that a question may hold: single tokens make channels large
    "Which papers train image generators on few examples?",
    "reinforcement learning from human feedback for language models",
    "Graph neural networks that predict properties of molecules",
    "Could you recommend research on “lost in the middle”, i.e. long contexts that nobody reads?",
    'What does "attention sink" mean? And who found it?',
    "LoRA (low-rank adaptation) vs. full fine-tuning: which one forgets less, e.g. on GLUE?",
    "federated learning; label noise; privacy",
    "3D object detection with LiDAR & cameras - a survey, 2019/2024",
    "Give me work on diffusion models’ sampling speed (10x faster, <= 4 steps)...",
    "I'm looking for datasets of X-ray images: how were they labelled, and by whom?",
    "GPT-4, LLaMA-2-70B, BERT-base",
    "Is there a proof that $O(n^2)$ attention can't be beaten?",
    "the",
    "https://github.com/user/repo code for arXiv:1706.03762",
    "Find studies about climate; then summarize their methods and limits in short paragraphs!",
    "Qu'est-ce que l'apprentissage par renforcement ? Übersicht über naïve Bayes, señal",
    "扩散模型 обучение с подкреплением 強化学習",
    "Papers by Smith et al. [12] that extend Theorem 3.1 to k > 2 *and* non-convex f(x)",
    "speech recognition for low-resource languages such as Swahili or Quechua",
    "quantum error correction # of qubits @ 99% fidelity + noise ~ 1e-3",
    "Protein folding at the scale of whole genomes, and the drugs designed from it",
    "robots that learn to fold laundry from videos of people",
    "How do recommender systems treat users they know nothing of (cold start), and is it fair?",
    "abcdefg qwertz zxcvb 😀 ½ ∑",
)


def replace(exact: Path, audit: Callable[[Path], None]) -> None:
    """Puts 8 bits in place of the graph and the weights that were exported to the folder `exact`.

    These stay where that cannot be done, or where `audit`, called with a folder that holds the new
    ones, raises EncoderError. The new files are the same on every machine.
    """
    near = exact / "int8"
    near.mkdir()
    try:
        for name in (CARD, TOKENIZER):
            shutil.copyfile(exact / name, near / name)
        _write(exact, near)
        audit(near)
        for name in (GRAPH, WEIGHTS):
            (near / name).replace(exact / name)
    except OSError:  # a full disk is no fault of the model
        raise
    except Exception:  # noqa: BLE001 -- a graph can resist in any way; the exact one is whole
        return
    finally:
        shutil.rmtree(near)


def _write(exact: Path, near: Path) -> None:
    import onnx

    model = onnx.load(exact / GRAPH)
    graph = _Graph(model)
    products = graph.products()
    if not products:
        raise EncoderError("the model has no product that 8 bits would make faster")
    extremes = _extremes(exact, list(products))
    for name, nodes in products.items():
        graph.narrow(name, nodes, _largest(extremes[name]))
    graph.keep_leading_dimensions()
    graph.halve_tables()
    graph.settle()
    onnx.save_model(model, near / GRAPH, save_as_external_data=True, location=WEIGHTS)
    _fuse(near / GRAPH)


def _extremes(exact: Path, names: list[str]) -> dict[str, Floats]:
    """(2 n, K) the least and greatest of each channel of what enters the products, n questions."""
    import onnx

    model = onnx.load(exact / GRAPH, load_external_data=False)
    model.graph.output.extend(map(onnx.helper.make_empty_tensor_value_info, names))
    onnx.save_model(model, exact / "seen.onnx")
    tokens, looking = QueryEncoder.open(exact).tokens, session(exact / "seen.onnx")
    (exact / "seen.onnx").unlink()
    seen: dict[str, list[Floats]] = {name: [] for name in names}
    for question in _ORDINARY:
        for name, found in zip(names, looking.run(names, tokens(question)), strict=True):
            rows = found.reshape(-1, found.shape[-1])
            seen[name] += [rows.min(axis=0), rows.max(axis=0)]
    return {name: np.stack(found) for name, found in seen.items()}


def _largest(extremes: Floats) -> NDArray[np.int64]:
    """The channels to be multiplied apart; none where the others' steps would hardly be finer."""
    order = np.argsort(-np.abs(extremes).max(axis=0), kind="stable")
    apart, others = order[:_APART], extremes[:, order[_APART:]]
    spans = [max(some.max(), 0) - min(some.min(), 0) for some in (others, extremes)]
    return np.sort(apart) if spans[0] < _WORTH * spans[1] else apart[:0]


def _fuse(graph: Path) -> None:
    """Has the runtime make its nodes of the traced ones now, not at each opening."""
    chosen, fused = options(graph), graph.with_name("fused.onnx")
    chosen.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    chosen.optimized_model_filepath = str(fused)
    ort.InferenceSession(str(graph), chosen, providers=["CPUExecutionProvider"])
    fused.replace(graph)


def _quantised(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """`weights` (K, m) as whole numbers up to 127, and the step of each column."""
    steps = np.abs(weights).max(axis=0).clip(np.finfo(np.float32).tiny) / np.float32(127)
    return np.rint(weights / steps).astype(np.int8), steps


class _Graph:
    """A traced graph in the making over: its constants, and what takes the place of its nodes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper

        self._graph = model.graph
        self._constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        self._instead: dict[str, list[onnx.NodeProto]] = {}
        model.opset_import.add(domain=_RUNTIME, version=1)

    def products(self) -> dict[str, list[onnx.NodeProto]]:
        """The products with a large constant matrix, by what enters them."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self._graph.node:
            matrix = self._constants.get(node.input[1]) if node.op_type == "MatMul" else None
            if matrix is not None and matrix.ndim == 2 and min(matrix.shape) >= _SMALLEST:
                found.setdefault(node.input[0], []).append(node)
        return found

    def narrow(self, name: str, products: list[onnx.NodeProto], apart: NDArray[np.int64]) -> None:
        """Makes the products that `name` enters as one, in 8 bits but for the channels `apart`."""
        matrix = np.concatenate([self._constants[node.input[1]] for node in products], axis=1)
        outputs, biases = zip(*map(self._with_bias, products), strict=True)
        joint = outputs[0] if len(outputs) == 1 else f"{name}/joint"
        made = self._made(name, matrix, np.concatenate(biases), apart, joint)
        if len(outputs) > 1:
            sizes = self._add(f"{joint}/sizes", np.array([len(bias) for bias in biases]))
            made.append(_node("Split", [joint, sizes], *outputs, axis=-1))
        self._instead |= {node.output[0]: [] for node in products}
        self._instead[products[0].output[0]] = made

    def keep_leading_dimensions(self) -> None:
        """Lets reshapes keep texts and tokens by a 0, where tracing computes both from shapes.

        A third of the nodes do nothing else. In every encoder known the two stay in front; where
        they do not, the audit refuses the graph.
        """
        makers = {output: node for node in self._graph.node for output in node.output}
        for node in self._graph.node:
            maker = makers.get(node.input[1]) if node.op_type == "Reshape" else None
            if maker is not None and maker.op_type == "Concat":
                parts = [self._constants.get(part) for part in maker.input]
                if all(part is not None for part in parts[2:]):
                    shape = [n for part in parts for n in ([0] if part is None else part.tolist())]
                    node.input[1] = self._add(f"{node.output[0]}/shape", np.array(shape))

    def halve_tables(self) -> None:
        """Keeps what tokens are looked up in, most of a small model, in half precision."""
        for node in self._graph.node:
            table = self._constants.get(node.input[0]) if node.op_type == "Gather" else None
            if table is not None and table.dtype == np.float32 and table.size > _TABLE:
                half = self._add(f"{node.input[0]}/half", table.astype(np.float16))
                wide, narrow = node.output[0], f"{node.output[0]}/half"
                looked_up = _node("Gather", [half, node.input[1]], narrow, axis=0)
                self._instead[wide] = [looked_up, _node("Cast", [narrow], wide, to=_FLOAT)]

    def settle(self) -> None:
        """Puts the new nodes in place of the old, and leaves out what no output needs."""
        from onnx import numpy_helper

        old = [node for node in self._graph.node if node.op_type != "Constant"]
        nodes = [new for node in old for new in self._instead.get(node.output[0], [node])]
        needed, kept = {output.name for output in self._graph.output}, []
        for node in reversed(nodes):
            if not needed.isdisjoint(node.output):
                kept.append(node)
                needed.update(node.input)
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(reversed(kept))
        for name in sorted(needed & self._constants.keys()):
            self._graph.initializer.append(numpy_helper.from_array(self._constants[name], name))

    def _made(
        self, name: str, matrix: Floats, bias: Floats, apart: NDArray[np.int64], output: str
    ) -> list[onnx.NodeProto]:
        if not apart.size:
            return [self._in_8_bits(name, matrix, bias, output)]
        others, rest = np.ones(len(matrix), np.float32), matrix.copy()
        others[apart] = rest[apart] = 0
        which = self._add(f"{name}/channels", apart)
        exact = self._add(f"{output}/exact", matrix[apart])
        return [
            _node("Mul", [name, self._add(f"{name}/others", others)], f"{name}/rest"),
            self._in_8_bits(f"{name}/rest", rest, bias, f"{output}/narrow"),
            _node("Gather", [name, which], f"{name}/apart", axis=-1),
            _node("MatMul", [f"{name}/apart", exact], f"{output}/wide"),
            _node("Add", [f"{output}/narrow", f"{output}/wide"], output),
        ]

    def _in_8_bits(self, name: str, matrix: Floats, bias: Floats, output: str) -> onnx.NodeProto:
        whole, steps = _quantised(matrix)
        inputs = [
            name,
            self._add(f"{output}/whole", whole),
            self._add(f"{output}/steps", steps),
            "",  # the matrix's zero: 0
            self._add(f"{output}/bias", bias),
        ]
        return _node("DynamicQuantizeMatMul", inputs, output, domain=_RUNTIME)

    def _with_bias(self, node: onnx.NodeProto) -> tuple[str, Floats]:
        """What the product is called once its bias is added, and the bias."""
        width = self._constants[node.input[1]].shape[1]
        users = self._users.get(node.output[0], [])
        if len(users) == 1 and users[0].op_type == "Add":
            for name in users[0].input:
                if name in self._constants and self._constants[name].shape == (width,):
                    self._instead[users[0].output[0]] = []
                    return users[0].output[0], self._constants[name]
        return node.output[0], np.zeros(width, np.float32)

    def _add(self, name: str, constant: NDArray[Any]) -> str:
        self._constants[name] = constant
        return name


def _node(
    kind: str,
    inputs: list[str],
    *outputs: str,
    **attributes: Any,  # noqa: ANN401 -- ONNX has attributes of many types
) -> onnx.NodeProto:
    import onnx

    return onnx.helper.make_node(kind, inputs, outputs, **attributes)
